//! `nvidia-smi nvlink -s` and `nvidia-smi -L`.
//!
//! ```text
//! GPU 3: Tesla V100-SXM2-32GB (UUID: GPU-50b1bd2e-77ee-2731-fd2f-17c44103b7b9)
//!          Link 0: 25.781 GB/s
//!          Link 3: <inactive>
//! ```

use super::{Gpu, Log};
use crate::parse::plain_text;

/// Paths of the fields that [`parse`] makes beside `Name` and `UUID`.
pub const LINK: &str = "Link ";
/// What is printed instead of a list when no link is up.
pub const ALL_INACTIVE: &str = "all links are inActive";
const MAX_LINKS: u32 = 64;

/// What stands between the name of a GPU and its id.
const UUID: &str = " (UUID: ";

/// Whether the text has the heading of a GPU.
pub fn recognise(text: &str) -> bool {
    plain_text::has(text, UUID) && text.lines().any(|line| heading(line).is_some())
}

/// Reads names, UUIDs and links.
pub fn parse(text: &str) -> Log {
    let mut log = Log::default();
    let mut inside = false;
    for line in text.lines() {
        if let Some((index, name, uuid)) = heading(line) {
            inside = match log.gpu(Gpu { index: Some(index), ..Gpu::default() }) {
                Some(gpu) => {
                    gpu.add("Name", name);
                    if uuid.starts_with("GPU-") {
                        gpu.add("UUID", uuid);
                    }
                    true
                }
                None => false,
            };
        } else if let (true, Some(gpu)) = (inside, log.gpus.last_mut()) {
            let line = line.trim();
            if let Some((number, state)) = line.strip_prefix(LINK).and_then(|rest| rest.split_once(':'))
                && number.parse::<u32>().is_ok_and(|number| number < MAX_LINKS)
            {
                gpu.add(format!("{LINK}{number}"), state.trim());
            } else if line.contains(ALL_INACTIVE) {
                gpu.add(ALL_INACTIVE, "yes");
            } else if !line.is_empty() && !line.starts_with("MIG ") {
                inside = false;
            }
        }
    }
    log
}

fn heading(line: &str) -> Option<(u64, &str, &str)> {
    let (index, rest) = line.trim().strip_prefix("GPU ")?.split_once(": ")?;
    let (name, uuid) = rest.rsplit_once(UUID)?;
    Some((index.parse().ok().filter(|index| *index < 1024)?, name.trim(), uuid.strip_suffix(')')?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn links_belong_to_the_gpu_above() {
        let log = parse(
            "GPU 0: A (B) (UUID: GPU-1)\n  MIG 1g.5gb  Device 0: (UUID: MIG-1)\n\t Link 0: 25.781 GB/s\n\
             GPU 1: C (UUID: ...)\nNVML: Unable to retrieve Nvlink information as all links are inActive\n\
             end\n Link 5: x\n",
        );
        assert_eq!(log.gpus[0].value("Name"), Some("A (B)"));
        assert_eq!(log.gpus[0].value("Link 0"), Some("25.781 GB/s"));
        assert_eq!(log.gpus[1].value("UUID"), None);
        assert_eq!(log.gpus[1].value(ALL_INACTIVE), Some("yes"));
        assert_eq!(log.gpus[1].value("Link 5"), None);
    }

    proptest! {
        #[test]
        fn never_panics(text in "(GPU 0: A| \\(UUID: |GPU-1|\\)|\n|Link 0:|Link |\\PC){0,60}") {
            parse(&text);
        }
    }
}
