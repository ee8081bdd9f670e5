//! What nvidia-smi prints, in all its forms. The parsers keep every value as it is printed, under the label that it has;
//! what a label means is for the importer to know.
//!
//! Printouts are not a stable interface: labels move and get renamed from driver to driver. So nothing here depends on
//! a label being there, or on the order.

pub mod csv;
pub mod nvlink;
pub mod table;
pub mod text;
pub mod xml;

/// GPUs that are read of one printout. The largest machines have 16; a capture of many runs repeats them.
pub const MAX_GPUS: usize = 256;
/// Fields that are read of one GPU. The newest driver prints about 300.
const MAX_FIELDS: usize = 2000;
/// Bytes that are kept of one value.
const MAX_VALUE_BYTES: usize = 512;

/// One printout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// Version of the driver.
    pub driver_version: Option<String>,
    /// Version of NVML, which `--version` prints.
    pub nvml_version: Option<String>,
    /// Newest CUDA version that the driver can.
    pub cuda_version: Option<String>,
    /// How many GPUs the driver said that there are; a printout may show fewer.
    pub attached: Option<u64>,
    /// The GPUs that it shows.
    pub gpus: Vec<Gpu>,
    /// Whether it ends in the middle, or is damaged from some place on.
    pub truncated: bool,
    /// Whether there were more than [`MAX_GPUS`].
    pub too_many: bool,
}

/// One GPU of a printout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gpu {
    /// The bus id in its heading, as printed: `00000000:17:00.0`.
    pub address: Option<String>,
    /// Its number in nvidia-smi's list.
    pub index: Option<u64>,
    /// Labels with values, in the order in which they are printed.
    pub fields: Vec<Field>,
}

/// A label with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Headings and label, joined by slashes: `FB Memory Usage/Total`.
    pub path: String,
    /// The value as printed.
    pub value: String,
}

impl Gpu {
    fn add(&mut self, path: impl Into<String>, value: &str) {
        if self.fields.len() < MAX_FIELDS {
            let mut end = value.len().min(MAX_VALUE_BYTES);
            while !value.is_char_boundary(end) {
                end -= 1;
            }
            self.fields.push(Field { path: path.into(), value: value[..end].to_owned() });
        }
    }

    /// The first value under that label.
    pub fn value(&self, path: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.path == path).map(|field| field.value.as_str())
    }
}

impl Log {
    /// A place for one more GPU, when there is one.
    fn gpu(&mut self, gpu: Gpu) -> Option<&mut Gpu> {
        if self.gpus.len() >= MAX_GPUS {
            self.too_many = true;
            return None;
        }
        self.gpus.push(gpu);
        self.gpus.last_mut()
    }
}
