//! The table that `nvidia-smi` prints without arguments. Two or three lines a GPU:
//!
//! ```text
//! | GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
//! | Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
//! |=========================================+========================+======================|
//! |   0  NVIDIA GeForce RTX 4090        Off |   00000000:17:00.0 Off |                  Off |
//! | 64%   33C    P8             25W /  450W |       1MiB /  49140MiB |      0%      Default |
//! |                                         |                        |                  N/A |   MIG mode, from driver 450 on
//! ```

use super::{Gpu, Log};
use crate::parse::{pci_address, plain_text};

/// What the frame is drawn with; some consoles have bars of their own.
const BARS: [char; 2] = ['|', '│'];
/// The line of versions above the table begins so.
const TITLE: &str = "NVIDIA-SMI ";

/// Whether the text has one.
pub fn recognise(text: &str) -> bool {
    plain_text::has(text, TITLE) && text.lines().any(|line| version_line(line).is_some())
        || BARS.iter().any(|bar| text.contains(*bar)) && text.lines().any(|line| first_line(line).is_some())
}

/// Reads every table of the text.
pub fn parse(text: &str) -> Log {
    let mut log = Log::default();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(versions) = version_line(line) {
            log.driver_version = log.driver_version.take().or_else(|| word_after(versions, "Driver Version:"));
            log.cuda_version = log.cuda_version.take().or_else(|| word_after(versions, "CUDA Version:"));
        }
        let Some(gpu) = first_line(line) else { continue };
        let Some(gpu) = log.gpu(gpu) else { break };
        if let Some(cells) = lines.peek().and_then(|line| cells(line)) {
            second_line(gpu, cells);
            lines.next();
            if let Some([first, second, mode]) = lines.peek().and_then(|line| cells3(line))
                && first.is_empty()
                && second.is_empty()
            {
                gpu.add("MIG M.", mode);
            }
        }
    }
    log
}

fn version_line(line: &str) -> Option<&str> {
    let at = line.find(TITLE)?;
    line[at..].contains("Driver Version:").then(|| &line[at..])
}

fn word_after(line: &str, label: &str) -> Option<String> {
    let rest = &line[line.find(label)? + label.len()..];
    let word = rest.split_ascii_whitespace().next()?;
    (word.len() < 64 && word.starts_with(|it: char| it.is_ascii_digit())).then(|| word.to_owned())
}

fn cells3(line: &str) -> Option<[&str; 3]> {
    let line = line.trim().trim_start_matches(BARS).trim_end_matches(BARS);
    let mut cells = line.split(BARS).map(str::trim);
    let found = [cells.next()?, cells.next()?, cells.next()?];
    cells.next().is_none().then_some(found)
}

/// The second line of a GPU.
fn cells(line: &str) -> Option<[&str; 3]> {
    cells3(line).filter(|[_, memory, _]| memory.contains('/') || memory.contains("lost") || memory.contains("ERR"))
}

fn first_line(line: &str) -> Option<Gpu> {
    let [name, bus, ecc] = cells3(line)?;
    let address = bus.split_ascii_whitespace().next()?;
    if !address.contains('.') || pci_address::parse(address).is_none() {
        return None;
    }
    let (index, rest) = name.split_once(char::is_whitespace)?;
    let (name, persistence) = rest.trim().rsplit_once(char::is_whitespace)?;
    let mut gpu = Gpu { address: Some(address.to_owned()), index: Some(index.parse().ok()?), ..Gpu::default() };
    gpu.add("Name", name.trim());
    gpu.add("Persistence-M", persistence);
    gpu.add("Volatile Uncorr. ECC", ecc);
    Some(gpu)
}

fn second_line(gpu: &mut Gpu, [state, memory, _]: [&str; 3]) {
    // Fan, temperature, performance state, power. ERR! may come without a blank before it.
    let (left, cap) = state.split_once(" / ").unwrap_or((state, ""));
    let words: Vec<&str> = left.split_ascii_whitespace().collect();
    if let [fan, temperature, performance, usage @ ..] = words.as_slice() {
        gpu.add("Fan", fan);
        gpu.add("Temp", &temperature.replace('C', " C"));
        gpu.add("Perf", performance);
        gpu.add("Pwr:Usage", &usage.join(" ").replace('W', " W"));
        gpu.add("Pwr:Cap", &cap.trim().replace('W', " W"));
    }
    match memory.split_once(" / ") {
        Some((used, total)) => {
            gpu.add("Memory-Usage/Used", &used.trim().replace("MiB", " MiB"));
            gpu.add("Memory-Usage/Total", &total.trim().replace("MiB", " MiB"));
        }
        None => gpu.add("Memory-Usage/Total", memory),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NARROW: &str = "\
| NVIDIA-SMI 390.48                 Driver Version: 390.48                    |
|-------------------------------+----------------------+----------------------+
| GPU  Name        Persistence-M| Bus-Id        Disp.A | Volatile Uncorr. ECC |
| Fan  Temp  Perf  Pwr:Usage/Cap|         Memory-Usage | GPU-Util  Compute M. |
|===============================+======================+======================|
|   0  Tesla P100-PCIE...  Off  | 00000000:00:04.0 Off |                    0 |
| N/A   37C    P0    28W / 250W |      0MiB / 16280MiB |      0%      Default |
+-------------------------------+----------------------+----------------------+
|   2  GeForce GTX 680     Off  | 00000000:08:00.0 N/A |                  N/A |
| 37%   35C    P0    N/A /  N/A |      0MiB /  2000MiB |     N/A      Default |
+-------------------------------+----------------------+----------------------+
|   1  GeForce GTX 108...  On   | 00000000:00:05.0 N/A |                  N/A |
|ERR!  ERR! ERR!    ERR! / ERR! |GPU is lost           |     ERR!     Default |
|                               |                      |             Disabled |
";

    #[test]
    fn two_or_three_lines_a_gpu() {
        let log = parse(NARROW);
        assert_eq!(log.driver_version.as_deref(), Some("390.48"));
        let [first, unpowered, second] = log.gpus.as_slice() else { panic!("{log:?}") };
        for (path, value) in [
            ("Name", "Tesla P100-PCIE..."),
            ("Fan", "N/A"),
            ("Temp", "37 C"),
            ("Pwr:Usage", "28 W"),
            ("Pwr:Cap", "250 W"),
            ("Memory-Usage/Total", "16280 MiB"),
            ("Volatile Uncorr. ECC", "0"),
        ] {
            assert_eq!(first.value(path), Some(value), "{path}");
        }
        assert_eq!(first.value("MIG M."), None);
        assert_eq!((unpowered.value("Pwr:Usage"), unpowered.value("Pwr:Cap")), (Some("N/A"), Some("N/A")));
        assert_eq!(unpowered.value("Memory-Usage/Total"), Some("2000 MiB"));
        assert_eq!((second.index, second.value("Memory-Usage/Total")), (Some(1), Some("GPU is lost")));
        assert_eq!((second.value("Fan"), second.value("MIG M.")), (Some("ERR!"), Some("Disabled")));
    }

    proptest! {
        #[test]
        fn never_panics(text in "(\\|   0  A B Off \\| 0000:17:00\\.0 Off \\| 0 \\|\n|\\||/|MiB|NVIDIA-SMI |Driver Version:|\n| |\\PC){0,50}") {
            parse(&text);
        }
    }
}
