//! The kernels that the binary carries: `kernels/built`.

use super::message::KernelForm;

/// A file of kernels: machine code, and text for drivers and cards that cannot take it.
#[derive(Debug)]
pub(super) struct File {
    /// Its name in `kernels/built`.
    pub(super) name: &'static str,
    fatbin: &'static [u8],
    /// Text by the architecture from which on it can be translated, newest first. Compressed.
    ptx: &'static [(u32, &'static str, &'static [u8])],
    /// Its kernels.
    pub(super) kernels: &'static [&'static str],
}

macro_rules! built {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/kernels/built/", $name))
    };
}

macro_rules! packed {
    ($name:literal) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".zst"))
    };
}

/// All files.
pub(super) const FILES: &[File] = &[
    File {
        name: "memory",
        fatbin: built!("memory.fatbin"),
        ptx: &[(70, "memory.ptx", packed!("memory.ptx"))],
        kernels: &["memory_fill", "memory_verify", "memory_march", "memory_thrash"],
    },
    File {
        name: "bandwidth",
        fatbin: built!("bandwidth.fatbin"),
        ptx: &[(70, "bandwidth.ptx", packed!("bandwidth.ptx"))],
        kernels: &["bandwidth_read", "bandwidth_write", "bandwidth_copy", "bandwidth_triad", "bandwidth_gate"],
    },
    File {
        name: "compute",
        fatbin: built!("compute.fatbin"),
        ptx: &[
            (89, "compute_89.ptx", packed!("compute_89.ptx")),
            (80, "compute_80.ptx", packed!("compute_80.ptx")),
            (75, "compute_75.ptx", packed!("compute_75.ptx")),
            (70, "compute_70.ptx", packed!("compute_70.ptx")),
        ],
        kernels: &[
            "compute_f32",
            "compute_f64",
            "compute_f16",
            "compute_s8",
            "compute_bf16",
            "compute_tf32",
            "compute_f64_tensor",
            "compute_e4m3",
            "compute_e2m1",
        ],
    },
    File {
        name: "fingerprint",
        fatbin: built!("fingerprint.fatbin"),
        ptx: &[(70, "fingerprint.ptx", packed!("fingerprint.ptx"))],
        kernels: &["fingerprint_census", "fingerprint_ring", "fingerprint_chase", "fingerprint_f32_split"],
    },
    File {
        name: "pulse",
        fatbin: built!("pulse.fatbin"),
        ptx: &[(70, "pulse.ptx", packed!("pulse.ptx"))],
        kernels: &["pulse"],
    },
];

/// The file for Hopper's own tensor instructions, which nothing else can run.
pub(super) const WGMMA: File = File {
    name: "wgmma",
    fatbin: built!("wgmma.fatbin"),
    ptx: &[],
    kernels: &["wgmma_f16", "wgmma_bf16", "wgmma_tf32", "wgmma_e4m3", "wgmma_s8"],
};

/// The file for Blackwell's own tensor instructions (compute capability 10.0 and 10.3), which nothing else can run.
pub(super) const TCGEN05: File = File {
    name: "tcgen05",
    fatbin: built!("tcgen05.fatbin"),
    ptx: &[],
    kernels: &["tcgen05_f16", "tcgen05_bf16", "tcgen05_tf32", "tcgen05_e4m3", "tcgen05_e2m1", "tcgen05_s8"],
};

/// One image of a file, as the driver wants it.
#[derive(Debug)]
pub(super) struct Image {
    /// Name of the file in `kernels/built`.
    pub(super) file: String,
    /// SHA-256 of the file.
    pub(super) sha256: String,
    /// What it is.
    pub(super) form: KernelForm,
    /// Text ends with a NUL.
    pub(super) bytes: Vec<u8>,
}

impl File {
    pub(super) fn fatbin(&self) -> Image {
        Image {
            file: format!("{}.fatbin", self.name),
            sha256: crate::burn::records::hash(self.fatbin),
            form: KernelForm::Fatbin,
            bytes: self.fatbin.to_vec(),
        }
    }

    /// The texts for an architecture, newest first.
    pub(super) fn ptx(&self, compute_capability: [u32; 2]) -> Vec<Image> {
        let level = compute_capability[0] * 10 + compute_capability[1];
        let fitting = self.ptx.iter().filter(|(least, ..)| *least <= level);
        let images = fitting.filter_map(|(_, name, packed)| {
            let mut bytes = zstd::decode_all(*packed).ok()?;
            let sha256 = crate::burn::records::hash(&bytes);
            bytes.push(0);
            Some(Image { file: (*name).to_owned(), sha256, form: KernelForm::Ptx, bytes })
        });
        images.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_the_one_that_was_built() {
        let sums = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/kernels/built/SHA256SUMS"));
        for file in FILES.iter().chain([&WGMMA, &TCGEN05]) {
            for image in file.ptx([12, 1]).into_iter().chain([file.fatbin()]) {
                assert!(sums.contains(&format!("{}  {}\n", image.sha256, image.file)), "{}", image.file);
            }
        }
    }
}
