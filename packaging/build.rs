//! Puts the signature set into the binary in a form that is read quickly: every start of the tool needs it.
//!
//! Tables and rules stay TOML in `signatures/`. Here they become one JSON document, with the digest over the files as they
//! are; `Signatures::embedded` reads it, and a test holds it against the folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("signatures");
    println!("cargo::rerun-if-changed=packaging/build.rs");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files = BTreeMap::new();
    read_folder(&folder, "", &mut files)?;

    let mut digest = Sha256::new();
    let (mut set, mut policy, mut policy_sha256) = (Value::Null, Value::Null, String::new());
    let (mut rules, mut tables) = (Vec::new(), Map::new());
    for (path, content) in files {
        digest.update(path.as_bytes());
        digest.update([0]);
        digest.update((content.len() as u64).to_le_bytes());
        digest.update(&content);
        let text = String::from_utf8(content).map_err(|error| format!("signatures/{path}: {error}"))?;
        let toml: toml::Table = toml::from_str(&text).map_err(|error| format!("signatures/{path}: {error}"))?;
        let value = serde_json::to_value(toml)?;
        match (path.as_str(), path.strip_prefix("parts/")) {
            ("set.toml", _) => set = value,
            ("policy.toml", _) => (policy, policy_sha256) = (value, hex(&Sha256::digest(&text))),
            (_, Some(table)) => _ = tables.insert(table.trim_end_matches(".toml").to_owned(), value),
            (_, None) => rules.push(json!({ "path": path, "rule": value })),
        }
    }
    let prepared = json!({
        "sha256": hex(&digest.finalize()),
        "set": set,
        "policy": policy,
        "policy_sha256": policy_sha256,
        "rules": rules,
        "tables": tables,
    });
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("signatures.json"), serde_json::to_vec(&prepared)?)?;
    compress_kernels()
}

/// The portable form of the kernels is text, and a tenth of its size when compressed.
fn compress_kernels() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("kernels/built");
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if let (Some("ptx"), Some(name)) = (path.extension().and_then(|it| it.to_str()), path.file_name()) {
            let out = PathBuf::from(env::var("OUT_DIR")?).join(format!("{}.zst", name.to_string_lossy()));
            fs::write(out, zstd::encode_all(&fs::read(&path)?[..], 19)?)?;
        }
    }
    Ok(())
}

fn read_folder(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            read_folder(&entry.path(), &format!("{name}/"), files)?;
        } else if name.ends_with(".toml") {
            files.insert(name, fs::read(entry.path())?);
        }
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
