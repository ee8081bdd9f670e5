//! The kernels that the binary carries: `kernels/built`.

use super::message::KernelForm;
use crate::packed::{Pieces, unpack_named};

/// A file of kernels: machine code, and text for drivers and cards that cannot take it.
#[derive(Debug)]
pub(super) struct File {
    /// Its name in `kernels/built`.
    pub(super) name: &'static str,
    /// Names of its texts, by the architecture from which on each can be translated, newest first.
    ptx: &'static [(u32, &'static str)],
    /// Its kernels.
    pub(super) kernels: &'static [&'static str],
}

/// The files in `kernels/built`, by name.
static BUILT: Pieces = &include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

/// All files.
pub(super) const FILES: &[File] = &[
    File {
        name: "memory",
        ptx: &[(70, "memory.ptx")],
        kernels: &["memory_fill", "memory_verify", "memory_march", "memory_thrash"],
    },
    File {
        name: "bandwidth",
        ptx: &[(70, "bandwidth.ptx")],
        kernels: &[
            "bandwidth_read",
            "bandwidth_write",
            "bandwidth_copy",
            "bandwidth_triad",
            "bandwidth_region",
            "bandwidth_gate",
        ],
    },
    File {
        name: "compute",
        ptx: &[(89, "compute_89.ptx"), (80, "compute_80.ptx"), (75, "compute_75.ptx"), (70, "compute_70.ptx")],
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
        ptx: &[(70, "fingerprint.ptx")],
        kernels: &[
            "fingerprint_census",
            "fingerprint_ring",
            "fingerprint_chase",
            "fingerprint_latency",
            "fingerprint_f32_split",
        ],
    },
    File { name: "pulse", ptx: &[(70, "pulse.ptx")], kernels: &["pulse"] },
];

/// The file for Hopper's own tensor instructions, which nothing else can run.
pub(super) const WGMMA: File =
    File { name: "wgmma", ptx: &[], kernels: &["wgmma_f16", "wgmma_bf16", "wgmma_tf32", "wgmma_e4m3", "wgmma_s8"] };

/// The file for Blackwell's own tensor instructions (compute capability 10.0 and 10.3), which nothing else can run.
pub(super) const TCGEN05: File = File {
    name: "tcgen05",
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
    /// The machine code.
    pub(super) fn fatbin(&self) -> Option<Image> {
        Image::unpack(&format!("{}.fatbin", self.name), KernelForm::Fatbin)
    }

    /// The texts for an architecture, newest first.
    pub(super) fn ptx(&self, compute_capability: [u32; 2]) -> Vec<Image> {
        let level = compute_capability[0] * 10 + compute_capability[1];
        let fitting = self.ptx.iter().filter(|(least, _)| *least <= level);
        let images = fitting.filter_map(|(_, name)| {
            let mut image = Image::unpack(name, KernelForm::Ptx)?;
            image.bytes.push(0);
            Some(image)
        });
        images.collect()
    }
}

impl Image {
    fn unpack(file: &str, form: KernelForm) -> Option<Self> {
        let bytes = unpack_named(BUILT, file)?;
        Some(Self { file: file.to_owned(), sha256: crate::burn::records::hash(&bytes), form, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_the_one_that_was_built() {
        let sums = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/kernels/built/SHA256SUMS"));
        for file in FILES.iter().chain([&WGMMA, &TCGEN05]) {
            let texts = file.ptx([12, 1]);
            assert_eq!(texts.len(), file.ptx.len());
            for image in texts.into_iter().chain([file.fatbin().unwrap()]) {
                assert!(sums.contains(&format!("{}  {}\n", image.sha256, image.file)), "{}", image.file);
            }
        }
    }
}
