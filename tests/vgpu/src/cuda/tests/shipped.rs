//! The kernels that the project ships: every one has to be known to the decoder.

use std::path::Path;

#[test]
fn every_shipped_kernel_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels/built");
    let mut loaded = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "ptx") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        // Matrix instructions of warp groups are refused, and are for silicon alone.
        let refused = text.contains("wgmma.") || text.contains("tcgen05.");
        match super::load(&text) {
            Ok(module) => {
                assert!(!refused && !module.programs.is_empty(), "{}", path.display());
                loaded += 1;
            }
            Err(bad) => assert!(refused, "{}: {bad}", path.display()),
        }
    }
    if loaded == 0 {
        eprintln!("skipped: no kernels");
    }
}
