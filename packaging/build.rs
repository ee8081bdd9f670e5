//! Packs into the binary what it carries: the signature set, the kernels, and the names of the pci.ids database.
//!
//! Every start of the tool needs some of it and none needs all. So each piece is compressed by itself and unpacked when it
//! is asked for (`src/packed.rs`). Tables and rules stay TOML in `signatures/`; here they become JSON, which is read several
//! times as fast, with the digest over the files as they are. A test holds the result against the folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use pci_ids::{Classes, Vendors};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

type Failure = Box<dyn std::error::Error>;

/// Of the ids of a packed piece a machine asks for few, so that small pieces are quicker; larger ones are packed tighter.
const PCI_NAMES_BYTES: usize = 32 << 10;

fn main() -> Result<(), Failure> {
    println!("cargo::rerun-if-changed=packaging/build.rs");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    pack("signatures", signatures(&root.join("signatures"))?)?;
    pack("kernels", kernels(&root.join("kernels/built"))?)?;
    pack("pci_names", pci_names())
}

/// Writes `LIST.rs`: an array of each piece's name and its content, compressed. Sorted by name.
fn pack(list: &str, pieces: BTreeMap<String, Vec<u8>>) -> Result<(), Failure> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // Tight packing takes a minute without optimisation, and development builds need not be small.
    let level = if env::var("PROFILE")? == "release" { 19 } else { 3 };
    let mut source = String::from("[\n");
    for (index, (name, content)) in pieces.iter().enumerate() {
        let file = format!("{list}-{index}.zst");
        // In one call, so that the frame says how large the content is.
        fs::write(out.join(&file), zstd::bulk::compress(content, level)?)?;
        source += &format!("    ({name:?}, include_bytes!({file:?})),\n");
    }
    fs::write(out.join(format!("{list}.rs")), source + "]\n")?;
    Ok(())
}

/// `set` is what every evaluation needs, `examples` those of all rules by id, and `parts/…` are the tables.
fn signatures(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files = BTreeMap::new();
    read_folder(folder, "", &mut files)?;
    let mut digest = Sha256::new();
    let (mut set, mut policy, mut policy_sha256) = (Value::Null, Value::Null, String::new());
    let (mut rules, mut examples, mut pieces) = (Vec::new(), Map::new(), BTreeMap::new());
    for (path, content) in files {
        digest.update(path.as_bytes());
        digest.update([0]);
        digest.update((content.len() as u64).to_le_bytes());
        digest.update(&content);
        let text = String::from_utf8(content).map_err(|error| format!("signatures/{path}: {error}"))?;
        let toml: toml::Table = toml::from_str(&text).map_err(|error| format!("signatures/{path}: {error}"))?;
        let mut value = serde_json::to_value(toml)?;
        match (path.as_str(), path.strip_prefix("parts/")) {
            ("set.toml", _) => set = value,
            ("policy.toml", _) => (policy, policy_sha256) = (value, hex(&Sha256::digest(&text))),
            (_, Some(_)) => _ = pieces.insert(path.trim_end_matches(".toml").to_owned(), serde_json::to_vec(&value)?),
            (_, None) => {
                if let (Some(id), Some(list)) = (value["id"].as_str().map(str::to_owned), value.get_mut("example")) {
                    examples.insert(id, list.take());
                    *list = json!([]);
                }
                rules.push(json!({ "path": path, "rule": value }));
            }
        }
    }
    let prepared = json!({
        "sha256": hex(&digest.finalize()),
        "set": set,
        "policy": policy,
        "policy_sha256": policy_sha256,
        "rules": rules,
    });
    pieces.insert("set".to_owned(), serde_json::to_vec(&prepared)?);
    pieces.insert("examples".to_owned(), serde_json::to_vec(&examples)?);
    Ok(pieces)
}

/// The files with kernels.
fn kernels(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut pieces = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if let (Some("ptx" | "fatbin"), Some(name)) =
            (path.extension().and_then(|it| it.to_str()), path.file_name().and_then(|it| it.to_str()))
        {
            pieces.insert(name.to_owned(), fs::read(&path)?);
        }
    }
    Ok(pieces)
}

/// Lines of key, tab and name, sorted: a vendor is `10de`, its device `10de2330`, a class `C03` and its subclass `C0302`.
/// The name of a piece is its first key.
fn pci_names() -> BTreeMap<String, Vec<u8>> {
    let mut names = BTreeMap::new();
    // Where a key comes twice, the first one counts, as in the database.
    let mut add = |key: String, name: &str| _ = names.entry(key).or_insert_with(|| name.to_owned());
    for vendor in Vendors::iter() {
        add(format!("{:04x}", vendor.id()), vendor.name());
        vendor.devices().for_each(|it| add(format!("{:04x}{:04x}", vendor.id(), it.id()), it.name()));
    }
    for class in Classes::iter() {
        add(format!("C{:02x}", class.id()), class.name());
        class.subclasses().for_each(|it| add(format!("C{:02x}{:02x}", class.id(), it.id()), it.name()));
    }
    let mut pieces: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (key, name) in names {
        let line = format!("{key}\t{name}\n");
        match pieces.last_entry() {
            Some(mut piece) if piece.get().len() + line.len() <= PCI_NAMES_BYTES => {
                piece.get_mut().extend(line.bytes())
            }
            _ => _ = pieces.insert(key, line.into_bytes()),
        }
    }
    pieces
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
