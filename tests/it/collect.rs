//! Tests of `collect`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use yanji::collect::{COLLECTORS, collect};
use yanji::evidence::{Evidence, FactDef, Kind, Reading, Value};
use yanji::host::{Capture, RecordedHost};

/// A corpus folder, or `None` with a visible note.
fn corpus(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus")).join(name);
    if !folder.is_dir() {
        println!("skipped: no corpus {name}");
        return None;
    }
    Some(folder)
}

/// The rows of a corpus manifest by column name.
fn manifest(folder: &std::path::Path) -> Vec<BTreeMap<String, String>> {
    let text = String::from_utf8_lossy(&fs::read(folder.join("MANIFEST.tsv")).unwrap()).into_owned();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split('\t').collect();
    lines
        .map(|line| {
            names.iter().zip(line.split('\t')).map(|(name, cell)| (name.to_string(), cell.to_owned())).collect()
        })
        .collect()
}

/// Every fact is declared by its collector, with the kind and the scope that it has.
fn assert_declared(evidence: &Evidence) {
    let declared: BTreeMap<&str, &FactDef> =
        COLLECTORS.iter().flat_map(|collector| collector.facts()).map(|fact| (fact.path, fact)).collect();
    for part in &evidence.parts {
        for (path, fact) in &part.facts {
            let def = declared.get(path.as_str()).unwrap_or_else(|| panic!("{path} of {} is not declared", part.id));
            assert_eq!(path.as_str().split('.').next(), Some(part.scope.as_str()), "{path} of {}", part.id);
            assert!(!fact.source.is_empty(), "{path} has no source");
            if let Reading::Known(value) = &fact.reading {
                let kind = match value {
                    Value::Bool(_) => Kind::Bool,
                    Value::Integer(_) => Kind::Integer,
                    Value::Text(_) => Kind::Text,
                    Value::List(_) => Kind::List,
                };
                assert_eq!(kind, def.kind, "{path} = {value}");
            }
        }
    }
}

#[test]
fn this_machine() {
    let evidence = collect(&yanji::host::LiveHost::new());
    assert_declared(&evidence);
    if std::env::var_os("PRINT").is_some() {
        for part in &evidence.parts {
            println!("{}", part.id);
            for (path, fact) in &part.facts {
                println!("  {path} = {:?} [{}]", fact.reading, fact.source);
            }
        }
    }
}

#[test]
fn smbios_corpus_agrees_with_dmidecode() {
    let Some(folder) = corpus("smbios") else { return };
    let mut tables = 0;
    for row in manifest(&folder).iter().filter(|row| row["file"].ends_with(".dmi")) {
        let file = &row["file"];
        let mut capture = Capture::default();
        capture.insert("/sys/firmware/dmi/tables/DMI", fs::read(folder.join(file)).unwrap());
        if let Ok(entry) = fs::read(folder.join(file.replace(".dmi", ".ep"))) {
            capture.insert("/sys/firmware/dmi/tables/smbios_entry_point", entry);
        }
        let evidence = collect(&RecordedHost::from(capture));
        assert_declared(&evidence);
        let memory = evidence.part("memory").unwrap();
        println!(
            "{file}: {} {:?} damaged {:?}",
            row["populated"],
            memory.reading("memory.smbios.populated"),
            evidence.part("platform").unwrap().reading("platform.smbios.damaged")
        );
        println!("   {} MiB {:?}", row["total_mib"], memory.reading("memory.smbios.installed_bytes"));
        println!(
            "   {} {:?}",
            row["smbios_version"],
            evidence.part("platform").unwrap().reading("platform.smbios.version")
        );
        tables += 1;
    }
    assert!(tables > 30);
}
