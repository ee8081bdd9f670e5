//! Sticks that fail: what the image does with a report then.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};

use super::report::{SHORT_PROFILE, challenge, copy_out, reports_in, verify_by_its_key};
use crate::guest::{Bench, Guest};
use crate::tpm::run;

/// When the stick is pulled out, in seconds after the copy began. Throttled as it is, a report takes a few.
const PULLED_AFTER: [&str; 3] = ["0", "1", "5"];
const STICK_BYTES: usize = 2 << 20;

/// The image's own functions, with one stick in the machine at a time. Authorising a USB device and withdrawing that is, to the
/// kernel, plugging it in and pulling it out.
const SCRIPT: &str = r#"
. /usr/lib/yanji/functions
ports=
for name in expired full locked pulled; do
  until port=$(grep -lx "$name" /sys/bus/usb/devices/*/serial); do sleep 0.2; done
  eval "port_$name=${port%/serial}"
done
unplug() { eval "echo 0 >\$port_$1/authorized"; }
plug() {
  eval "echo 1 >\$port_$1/authorized"
  tries=0
  until [ -n "$(labelled YANJI)" ] || [ $tries = 50 ]; do tries=$((tries + 1)); sleep 0.2; done
}
for name in expired full locked pulled; do unplug $name; done
certify() { find_stick; perform certify /host/short.toml ""; }

plug expired
certify >expired.log 2>&1
umount /run/stick
unplug expired

plug full
find_stick
cat /dev/zero >/run/stick/filler 2>/dev/null
certify >full.log 2>&1
umount /run/stick
unplug full

plug locked
keep /run/yanji/report >locked.log 2>&1
umount /run/stick
unplug locked

pull_after() {
  until ls -d /run/stick/.yanji-part-* >/dev/null 2>&1; do sleep 0.05; done
  sleep "$1"
  unplug pulled
}
for moment in MOMENTS; do
  plug pulled
  pull_after $moment &
  keep /run/yanji/report >pulled-$moment.log 2>&1
  wait
  umount /run/stick
  plug pulled
  dd if="$(labelled YANJI)" of=pulled-$moment.img bs=64k
  unplug pulled
done 2>pulled.log
plug pulled
keep /run/yanji/report >again.log 2>&1
umount /run/stick
"#;

/// Adds an empty stick of that name to the guest; gives the file.
pub(super) fn add_stick(guest: &mut Guest<'_>, name: &str, options: &str) -> anyhow::Result<PathBuf> {
    let file = guest.file(&format!("{name}.img"), vec![0; STICK_BYTES])?;
    let path = format!("PATH={}:/sbin:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    run(Command::new("env").args([&path, "mkfs.vfat", "-n", "YANJI"]).arg(&file))
        .context("apt-get install dosfstools")?;
    guest.arguments(&format!(
        "-drive if=none,id={name},format=raw,file={}{options} -device usb-storage,drive={name},serial={name}",
        file.display()
    ));
    Ok(file)
}

pub fn bad_sticks(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    guest.arguments("-device qemu-xhci");
    guest.host_file("short.toml", SHORT_PROFILE)?;
    let expired = add_stick(&mut guest, "expired", "")?;
    let challenge = challenge(&guest, "1s")?;
    run(Command::new("mcopy").arg("-i").arg(&expired).arg(&challenge).arg("::/challenge.json"))?;
    let full = add_stick(&mut guest, "full", "")?;
    add_stick(&mut guest, "locked", ",readonly=on")?;
    let pulled = add_stick(&mut guest, "pulled", ",throttling.bps-write=60000")?;
    let outcome = guest.run_script(&SCRIPT.replace("MOMENTS", &PULLED_AFTER.join(" ")))?;
    let says = |log: &str, words: &str| {
        let text = guest.host_text(log).with_context(|| outcome.tail())?;
        ensure!(text.contains(words), "{log} does not say {words:?}: {text}");
        anyhow::Ok(())
    };
    says("expired.log", "expired at")?;
    says("expired.log", "no report was made (exit code 2)")?;
    says("full.log", "The stick takes no key")?;
    says("full.log", "could NOT be written to the stick: ")?;
    says("full.log", "Nothing of it was left there.")?;
    says("locked.log", "in memory only: ")?;
    says("locked.log", "read-only")?;
    ensure!(reports_in(&copy_out(&guest, &full, 0)?)?.is_empty(), "a report on a full stick");

    let (mut whole, mut absent) = (0, 0);
    for moment in PULLED_AFTER {
        let image = guest.path("host").join(format!("pulled-{moment}.img"));
        let renamed = guest.path(&format!("pulled-{}.img", moment.replace('.', "-")));
        std::fs::rename(&image, &renamed).with_context(|| outcome.tail())?;
        let reports = reports_in(&copy_out(&guest, &renamed, 0)?)?;
        for report in &reports {
            verify_by_its_key(&guest, report)?.is_valid().with_context(|| format!("pulled after {moment} s"))?;
        }
        if reports.is_empty() {
            says(&format!("pulled-{moment}.log"), "could NOT be written to the stick")?;
            absent += 1;
        } else {
            whole += 1;
        }
    }
    ensure!(absent > 0, "no stick was pulled out early enough");
    says("again.log", "The report is on the stick")?;
    let copied = copy_out(&guest, &pulled, 0)?;
    let left = std::fs::read_dir(&copied)?
        .filter_map(Result::ok)
        .any(|entry| entry.file_name().to_string_lossy().starts_with(".yanji-part-"));
    let reports = reports_in(&copied)?;
    ensure!(
        reports.len() == whole + 1 && !left,
        "{} reports at the end, {whole} before; a part left: {left}",
        reports.len()
    );
    for report in &reports {
        verify_by_its_key(&guest, report)?.is_valid()?;
    }
    Ok(format!(
        "expired: refused; full, read-only: in memory, said; pulled {}x: absent {absent}, whole {whole}",
        whole + absent
    ))
}
