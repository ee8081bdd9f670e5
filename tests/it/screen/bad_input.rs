//! Files that are hostile or broken.

use std::fmt::Write;
use std::fs::{self, File};
use std::time::Duration;

use proptest::prelude::*;
use yanji::import;

use super::printout::Card;
use super::{assert_declared, gpus};
use crate::cli::Place;

#[test]
fn entities_are_not_expanded() {
    let mut entities = String::from("<!ENTITY lol \"lol\">");
    for level in 1..12 {
        let before = if level == 1 { "lol".to_owned() } else { format!("lol{}", level - 1) };
        let _ = write!(entities, "<!ENTITY lol{level} \"{}\">", format!("&{before};").repeat(10));
    }
    let document = Card { name: "&lol11;&file;".to_owned(), ..Card::h100() }.xml().replace(
        "<!DOCTYPE nvidia_smi_log SYSTEM \"nvsmi_device_v12.dtd\">",
        &format!("<!DOCTYPE nvidia_smi_log [{entities}<!ENTITY file SYSTEM \"file:///etc/passwd\">]>"),
    );
    let begin = thread_time();
    let gpu = gpus(document.as_bytes()).remove(0);
    assert_eq!(gpu.name.as_deref(), Some("&lol11;&file;"));
    assert_eq!(gpu.serial.as_deref(), Some("1650000000001"));
    let took = thread_time() - begin;
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn large_files_are_refused_without_being_read() {
    let place = Place::new();
    File::create(place.path("large.xml")).unwrap().set_len(100_000_000).unwrap();
    fs::write(place.path("card.txt"), Card::h100().text(41)).unwrap();
    let ran = place.run(["screen", "large.xml", "card.txt"]).exits(2);
    assert!(ran.stderr.contains("cannot screen large.xml\n  caused by: larger than 16 MiB"), "{}", ran.stderr);
    assert!(ran.stdout.contains("NVIDIA H100"), "{}", ran.stdout);
    assert!(import::read(std::io::repeat(b'x')).is_err(), "a stream that never ends");
}

#[test]
fn a_cut_document_gives_what_came_before_and_says_so() {
    let place = Place::new();
    let document = Card::h100().xml();
    fs::write(place.path("cut.xml"), &document[..document.find("<vbios_version>").unwrap() + 20]).unwrap();
    let json = place.run(["screen", "cut.xml", "--format", "json"]).exits(3).json();
    assert_eq!(json["notes"][0], "nvidia-smi -q -x is cut or damaged: read up to there");
    assert_eq!(json["gpus"][0]["serial"], "1650000000001");
    assert_eq!(json["gpus"][0]["vbios_version"], serde_json::Value::Null, "half a value is none");
    assert_eq!(json["gpus"][0]["memory_total_mib"], serde_json::Value::Null);

    let whole = gpus(document.as_bytes()).remove(0);
    let mut complete = 0;
    for cut in 0..document.len() {
        let Ok(imported) = import::import(&document.as_bytes()[..cut]) else { continue };
        let cut_off = cut < document.trim_end().len();
        assert_eq!(!imported.notes().is_empty(), cut_off, "{cut}: {:?}", imported.notes());
        let evidence = imported.into_evidence();
        let serial = evidence.parts.iter().find_map(|part| part.text("gpu.nvml.serial"));
        assert!(serial.is_none() || serial == whole.serial.as_deref(), "{serial:?}");
        complete += usize::from(serial.is_some());
    }
    assert!(complete > 500, "{complete}");
    // Text has no end to miss; a line that is cut must not give a value that is wrong in kind.
    let text = Card::h100().text(41);
    for cut in 0..text.len() {
        if let Ok(imported) = import::import(&text.as_bytes()[..cut]) {
            assert_declared(&imported.into_evidence());
        }
    }
}

#[test]
fn encodings_that_lie_depth_and_numbers() {
    let document = Card::h100().xml();
    for declaration in ["encoding=\"UTF-16\"", "encoding=\"EBCDIC-CP-US\"", "encoding=\"\u{1f980}\""] {
        let lying = document.replacen("?>", &format!("{declaration} ?>"), 1);
        assert_eq!(gpus(lying.as_bytes())[0].serial.as_deref(), Some("1650000000001"));
    }
    let utf16: Vec<u8> = document.encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(gpus(&[b"\xfe\xff", &*utf16].concat())[0].serial.as_deref(), Some("1650000000001"));

    let deep = document.replacen("<fan_speed>", &"<a>".repeat(500_000), 1);
    let imported = import::import(deep.as_bytes()).unwrap();
    assert!(imported.notes()[0].contains("cut or damaged"));
    assert_eq!(gpus(deep.as_bytes())[0].serial.as_deref(), Some("1650000000001"));

    let many: Vec<String> =
        (0..600u32).map(|index| Card { address: format!("{index:08X}:17:00.0"), ..Card::h100() }.element()).collect();
    let begin = thread_time();
    let imported = import::import(Card::xml_of(&many).as_bytes()).unwrap();
    assert!(imported.notes().iter().any(|note| note.contains("more than 256 GPUs")), "{:?}", imported.notes());
    assert_eq!(imported.into_evidence().scope("gpu").count(), 256);
    let took = thread_time() - begin;
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn the_largest_file_of_any_kind_takes_seconds_at_most() {
    let mut text = Card::h100().text(41);
    let lines = text.clone();
    let size = if cfg!(debug_assertions) { 4 << 20 } else { 16 << 20 };
    for filler in [
        lines.as_str(),
        "GPU 00000000:17:00.0\n",
        "    a\n",
        "    A : b\n",
        "name, memory.total [MiB]\n",
        "<gpu id=\"1\"></gpu>",
        "<gpu id=\"1\"><a>",
        "GPU 0: A (UUID: GPU-1)\n",
        "17:00.0 3D controller [0302]: NVIDIA Corporation GH100 [10de:2330]\n",
        "Model: x\nVideo BIOS: y\n",
        "Device 0: \"x\"\nCUDA Capability Major/Minor version number: 9.0\n",
        "|   0  A B Off | 00000000:17:00.0 Off | 0 |\n",
        "\x1b[1m",
        " ",
    ] {
        text.clear();
        text.push_str("Serial Number : 1\n");
        text.extend(std::iter::repeat_n(filler, size / filler.len()));
        let begin = thread_time();
        let _ = import::import(text.as_bytes()).map(|imported| imported.into_evidence());
        let took = thread_time() - begin;
        assert!(took < Duration::from_secs(10), "{filler:?}: {took:?}");
    }
}

/// Time that this thread has had on a core (proc(5), `schedstat`).
fn thread_time() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damage_never_panics(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40)) {
        let card = Card { mig_slice_mib: Some(9856), ..Card::h100() };
        let all = [card.text(41), card.xml(), card.table(), card.csv()].concat();
        let mut bytes = all.into_bytes();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(imported) = import::import(&bytes) {
            assert_declared(&imported.into_evidence());
        }
    }
}
