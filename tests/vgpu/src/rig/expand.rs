//! From the short form in the file to one table a GPU.
//!
//! `like` names a profile, `count` makes several of it, `unset` removes what the profile says. What tells boards apart is
//! counted up: a value of the profile by the GPU's position in the rig, a value of the entry by its position in the entry.

use anyhow::{Context, bail, ensure};
use include_dir::{Dir, include_dir};
use toml::{Table, Value};

use super::{Gpu, MAX_GPUS, VirtualGpu};

static PROFILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/profiles");

/// Paths that differ from board to board, and how.
const COUNTED: [(&str, Step); 7] = [
    ("serial", Step::Decimal),
    ("uuid", Step::Hexadecimal),
    ("pdi", Step::Hexadecimal),
    ("minor", Step::Number),
    ("module_id", Step::Number),
    ("platform.module_id", Step::Number),
    ("pci.address", Step::Bus),
];
/// Distance of two GPUs on the bus. Each has a port of its own, one bus number below.
const BUS_STEP: i64 = 0x10;

#[derive(Clone, Copy)]
enum Step {
    Decimal,
    Hexadecimal,
    Number,
    Bus,
}

/// All GPUs of the file.
pub fn gpus(entries: &[Table]) -> anyhow::Result<Vec<VirtualGpu>> {
    let mut gpus = Vec::new();
    for entry in entries {
        let mut entry = entry.clone();
        let like = match entry.remove("like") {
            None => None,
            Some(Value::String(name)) => Some(name),
            Some(_) => bail!("gpu.like is a name"),
        };
        let count = take_integer(&mut entry, "count")?.unwrap_or(1);
        ensure!((1..=MAX_GPUS as i64).contains(&count), "gpu.count is 1 to {MAX_GPUS}");
        let bus_step = take_integer(&mut entry, "bus_step")?.unwrap_or(BUS_STEP);
        let unset = match entry.remove("unset") {
            None => Vec::new(),
            Some(value) => value.try_into::<Vec<String>>().context("gpu.unset is a list of paths")?,
        };
        let profile = like.as_deref().map(profile).transpose()?.unwrap_or_default();
        for within in 0..count {
            let ordinal = gpus.len() as i64;
            let mut table = profile.clone();
            merge(&mut table, &entry);
            for path in &unset {
                remove(&mut table, path).with_context(|| format!("gpu.unset: the profile has no {path}"))?;
            }
            for (path, step) in COUNTED {
                let steps = if get(&entry, path).is_some() { within } else { ordinal };
                if let Some(value) = get(&table, path) {
                    let stepped = step.apply(value, steps, bus_step).with_context(|| format!("gpu.{path}"))?;
                    set(&mut table, path, stepped)?;
                }
            }
            let gpu: Gpu = table.clone().try_into().with_context(|| format!("GPU {ordinal}"))?;
            gpus.push(VirtualGpu { gpu, table });
        }
    }
    Ok(gpus)
}

/// A table with one field changed, if a GPU can still be read from it.
pub fn changed(table: &Table, field: &str, value: &Value) -> anyhow::Result<Table> {
    let mut table = table.clone();
    set(&mut table, field, value.clone())?;
    table.clone().try_into::<Gpu>()?;
    Ok(table)
}

/// Sets a dotted path. Tables on the way are made.
fn set(table: &mut Table, path: &str, value: Value) -> anyhow::Result<()> {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
            Ok(())
        }
        Some((first, rest)) => match table.entry(first).or_insert_with(|| Value::Table(Table::new())) {
            Value::Table(inner) => set(inner, rest, value),
            _ => bail!("{first} is no table"),
        },
    }
}

fn profile(name: &str) -> anyhow::Result<Table> {
    let file = PROFILES.get_file(format!("{name}.toml")).and_then(|file| file.contents_utf8());
    let Some(text) = file else {
        let mut names: Vec<_> = PROFILES.files().filter_map(|file| file.path().file_stem()?.to_str()).collect();
        names.sort_unstable();
        bail!("no profile {name}; there are {}", names.join(", "));
    };
    let mut table: Table = toml::from_str(text).with_context(|| format!("profile {name}"))?;
    // A profile may build on another one: the same chip with another memory.
    if let Some(Value::String(base)) = table.remove("like") {
        let mut merged = profile(&base)?;
        if let Some(unset) = table.remove("unset") {
            for path in unset.try_into::<Vec<String>>()? {
                remove(&mut merged, &path).with_context(|| format!("profile {name}: {base} has no {path}"))?;
            }
        }
        merge(&mut merged, &table);
        table = merged;
    }
    Ok(table)
}

fn take_integer(table: &mut Table, key: &str) -> anyhow::Result<Option<i64>> {
    table.remove(key).map(|value| value.as_integer().with_context(|| format!("gpu.{key} is a number"))).transpose()
}

fn merge(base: &mut Table, over: &Table) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => merge(base, over),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

fn get<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => table.get(path),
        Some((first, rest)) => get(table.get(first)?.as_table()?, rest),
    }
}

fn remove(table: &mut Table, path: &str) -> Option<Value> {
    match path.split_once('.') {
        None => table.remove(path),
        Some((first, rest)) => remove(table.get_mut(first)?.as_table_mut()?, rest),
    }
}

impl Step {
    fn apply(self, value: &Value, steps: i64, bus_step: i64) -> anyhow::Result<Value> {
        if steps == 0 {
            return Ok(value.clone());
        }
        Ok(match (self, value) {
            (Self::Number, Value::Integer(number)) => Value::Integer(number + steps),
            (Self::Decimal, Value::String(text)) => Value::String(count_up(text, steps, 10)?),
            (Self::Hexadecimal, Value::String(text)) => Value::String(count_up(text, steps, 16)?),
            (Self::Bus, Value::String(text)) => {
                let mut address: super::Address = text.parse().map_err(anyhow::Error::msg)?;
                let bus = i64::from(address.bus) + steps * bus_step;
                address.bus = u8::try_from(bus).with_context(|| format!("bus {bus:#x}"))?;
                Value::String(address.to_string())
            }
            // A hostile string is the same on every board.
            (_, other) => other.clone(),
        })
    }
}

/// Counts the number at the end of a text up, in its width.
fn count_up(text: &str, steps: i64, radix: u32) -> anyhow::Result<String> {
    let is_digit = |it: char| it.is_digit(radix);
    let digits = text.chars().rev().take_while(|&it| is_digit(it)).take(12).count();
    let (head, tail) = text.split_at(text.len() - digits);
    if tail.is_empty() {
        return Ok(text.to_owned());
    }
    let number = u64::from_str_radix(tail, radix)? + u64::try_from(steps)?;
    let counted = if radix == 10 { format!("{number:0digits$}") } else { format!("{number:0digits$x}") };
    ensure!(counted.len() == digits, "{text} cannot be counted up by {steps}");
    Ok(format!("{head}{counted}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_counted_up_in_their_width() {
        assert_eq!(count_up("GPU-0000-00000000000f", 1, 16).unwrap(), "GPU-0000-000000000010");
        assert_eq!(count_up("1654423001599", 2, 10).unwrap(), "1654423001601");
        assert_eq!(count_up("N/A", 3, 10).unwrap(), "N/A");
        assert!(count_up("99", 1, 10).is_err());
    }

    #[test]
    fn values_of_the_profile_go_by_the_rig_and_those_of_the_entry_by_the_entry() {
        let entries: Vec<Table> = [
            "like = \"h100-sxm\"\ncount = 2",
            "like = \"h100-sxm\"\ncount = 2\nserial = \"1600000000005\"\nunset = [\"inforom.image\"]",
        ]
        .iter()
        .map(|text| toml::from_str(text).unwrap())
        .collect();
        let gpus = gpus(&entries).unwrap();
        let serials: Vec<_> = gpus.iter().map(|it| it.gpu.serial.as_ref().unwrap().plain().unwrap()).collect();
        assert_eq!(serials[2..], ["1600000000005", "1600000000006"]);
        assert_eq!(serials[1].parse::<u64>().unwrap(), serials[0].parse::<u64>().unwrap() + 1);
        let buses: Vec<_> = gpus.iter().map(|it| it.gpu.pci.address.bus).collect();
        assert_eq!(buses, [0x17, 0x27, 0x37, 0x47]);
        assert!(gpus[0].gpu.inforom.image.is_some() && gpus[3].gpu.inforom.image.is_none());
    }
}
