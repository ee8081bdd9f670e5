//! `nvidia-smi -q -x`: one `gpu` element for each GPU, with the bus id as attribute `id`.
//!
//! The document names a DTD, which is never looked at: entities are not expanded, whatever declares them. Reading stops
//! where the document is damaged or nested too deep, and keeps what came before.

use memchr::memmem;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{Gpu, Log};

/// Elements that may be open at once. nvidia-smi nests seven.
const MAX_DEPTH: usize = 32;
/// Elements below which there are lists that nobody needs.
const LISTS: &[&str] = &["supported_clocks", "processes", "accounted_processes"];

/// Whether the text has such a document.
pub fn recognise(text: &str) -> bool {
    start(text).is_some()
}

fn start(text: &str) -> Option<usize> {
    let find = |tag: &str| memmem::find(text.as_bytes(), tag.as_bytes());
    let root = find("<nvidia_smi_log").or_else(|| find("<gpu id="))?;
    // The document may begin earlier, but a declaration is not needed: the text is decoded already.
    Some(text[..root].rfind("<!DOCTYPE nvidia_smi_log").unwrap_or(root))
}

/// Reads it. What stands before and behind the document is passed over.
pub fn parse(text: &str) -> Log {
    let mut log = Log::default();
    let Some(at) = start(text) else { return log };
    let mut reader = Reader::from_str(&text[at..]);
    reader.config_mut().check_end_names = false;
    let mut open: Vec<String> = Vec::new();
    let mut content = String::new();
    let mut complete = false;
    loop {
        match reader.read_event() {
            Ok(Event::Start(element)) => {
                content.clear();
                if open.len() >= MAX_DEPTH {
                    break;
                }
                let name = name(&element);
                // Several documents may follow each other in one file; what else follows is none.
                if complete && open.is_empty() && !matches!(name.as_str(), "nvidia_smi_log" | "gpu") {
                    break;
                }
                if name == "gpu" && !open.iter().any(|it| it == "gpu") {
                    log.gpu(Gpu { address: id(&element), ..Gpu::default() });
                }
                open.push(name);
            }
            Ok(Event::Text(text)) => {
                if content.len() < super::MAX_VALUE_BYTES {
                    content.push_str(&text.xml10_content());
                }
            }
            Ok(Event::GeneralRef(entity)) => {
                if content.len() < super::MAX_VALUE_BYTES {
                    content.push_str(&reference(&entity));
                }
            }
            Ok(Event::End(_)) => {
                let Some(name) = open.pop() else { break };
                if !content.trim().is_empty() {
                    add(&mut log, &open, &name, content.trim());
                }
                content.clear();
                complete |= open.is_empty();
            }
            Ok(Event::Eof) | Err(_) => break,
            // Comments, declarations, empty elements; the DTD too.
            Ok(_) => {}
        }
    }
    log.truncated = !complete || !open.is_empty();
    log
}

fn name(element: &BytesStart<'_>) -> String {
    element.local_name().as_ref().chars().take(80).collect()
}

fn id(element: &BytesStart<'_>) -> Option<String> {
    let id = element.try_get_attribute("id").ok()??;
    Some(id.value.chars().take(80).collect())
}

/// The characters that XML itself names (XML 1.0, 4.6), and those by number. Every other entity stays as it is written.
fn reference(entity: &str) -> String {
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    let character = match entity {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => match entity.strip_prefix('#') {
            Some(digits) => match digits.strip_prefix('x') {
                Some(digits) => number(digits, 16),
                None => number(digits, 10),
            },
            None => None,
        },
    };
    character.map_or_else(|| format!("&{entity};"), String::from)
}

fn add(log: &mut Log, open: &[String], name: &str, value: &str) {
    let Some(gpu) = open.iter().position(|it| it == "gpu") else {
        let place = match name {
            "driver_version" => &mut log.driver_version,
            "cuda_version" => &mut log.cuda_version,
            "attached_gpus" => {
                log.attached = log.attached.or_else(|| value.parse().ok());
                return;
            }
            _ => return,
        };
        if place.is_none() && value.len() < 64 {
            *place = Some(value.to_owned());
        }
        return;
    };
    let below = &open[gpu + 1..];
    if log.too_many || below.iter().any(|it| LISTS.contains(&it.as_str())) {
        return;
    }
    if let Some(gpu) = log.gpus.last_mut() {
        let mut path: String = below.iter().flat_map(|it| [it.as_str(), "/"]).collect();
        path.push_str(name);
        gpu.add(path, value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DOCUMENT: &str = r#"<?xml version="1.0" encoding="UTF-16"?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
  <driver_version>535.54.03</driver_version>
  <gpu id="00000000:01:00.0">
    <product_name>A &amp; B&#x21; &x;</product_name>
    <mig_devices><mig_device><fb_memory_usage><total>19968 MiB</total></fb_memory_usage></mig_device></mig_devices>
    <fb_memory_usage><total>81920 MiB</total></fb_memory_usage>
  </gpu>
</nvidia_smi_log>
"#;

    #[test]
    fn elements_make_paths_and_entities_stay() {
        let log = parse(&format!("$ nvidia-smi -q -x\n{DOCUMENT}$ exit\n"));
        assert_eq!(log.driver_version.as_deref(), Some("535.54.03"));
        let gpu = &log.gpus[0];
        assert_eq!(gpu.address.as_deref(), Some("00000000:01:00.0"));
        assert_eq!(gpu.value("product_name"), Some("A & B! &x;"));
        assert_eq!(gpu.value("fb_memory_usage/total"), Some("81920 MiB"));
        assert!(!log.truncated);
        assert_eq!(parse(&format!("{DOCUMENT}{DOCUMENT}")).gpus.len(), 2);
    }

    #[test]
    fn a_cut_document_gives_what_came_before() {
        let end = DOCUMENT.find("</nvidia_smi_log>").unwrap();
        let mut named = 0;
        for cut in (0..=end).filter(|cut| DOCUMENT.is_char_boundary(*cut)) {
            let log = parse(&DOCUMENT[..cut]);
            assert!(log.truncated || !recognise(&DOCUMENT[..cut]), "{cut}");
            named += usize::from(log.gpus.iter().any(|gpu| gpu.value("product_name") == Some("A & B! &x;")));
        }
        assert!(named > 100, "{named}");
    }

    #[test]
    fn depth_ends() {
        let deep = format!("<nvidia_smi_log><gpu id=\"1\">{}", "<a>".repeat(100_000));
        assert!(parse(&deep).truncated);
    }

    proptest! {
        #[test]
        fn never_panics(text in "(<nvidia_smi_log>|<gpu id=\"x\">|</gpu>|<a>|</a>|<a/>|<!|\\[|CDATA|&|;|lol|<!DOCTYPE x \\[<!ENTITY|>|\"|\\PC){0,60}") {
            parse(&text);
        }
    }
}
