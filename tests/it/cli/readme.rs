//! Every command that README.md shows works as it is shown.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use yanji::attest::policy::TrustPolicy;

use super::{Place, Ran, YANJI};
use crate::support::RecordedMachine;
use crate::support::spd::SpdImage;

/// One `$` line of a console block, and the exit code that a following `$ echo $?` shows.
#[derive(Debug, PartialEq)]
struct Shown {
    line: usize,
    command: String,
    exit: Option<i32>,
}

/// The commands in the fenced `console` blocks, in order. A command may go on over lines that end in a backslash.
fn commands(readme: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let mut inside = false;
    let mut lines = readme.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if let Some(kind) = line.trim_start().strip_prefix("```") {
            inside = !inside && kind.trim() == "console";
        } else if let Some(command) =
            line.trim_start().strip_prefix("$ ").or_else(|| line.strip_prefix("# ")).filter(|_| inside)
        {
            let mut command = command.to_owned();
            while command.ends_with('\\') {
                command.pop();
                command += lines.next().map_or("", |(_, line)| line.trim_start().trim_start_matches("> "));
            }
            if command == "echo $?" {
                let code = lines.next().and_then(|(_, line)| line.trim().parse().ok());
                shown.last_mut().expect("`echo $?` follows a command").exit = code;
            } else {
                shown.push(Shown { line: index + 1, command, exit: None });
            }
        }
    }
    shown
}

/// Whether a command is about `yanji`, and not about the shell, the package manager or the source tree. The virtual
/// driver's own launcher has tests of its own, with every rig.
fn is_ours(command: &str) -> bool {
    let command = command.strip_prefix("sudo ").unwrap_or(command);
    command.starts_with("yanji ") || command.starts_with("cargo run ") && !command.contains(" -p vgpu ")
}

/// The command as the test runs it: the built binary instead of one that cargo or root would run, and no burn-in of an
/// hour.
fn runnable(command: &str) -> String {
    let command = command.replace("sudo ", "");
    let command = [
        "cargo run --release --quiet -- ",
        "cargo run --quiet --release -- ",
        "cargo run --release -- ",
        "cargo run -- ",
    ]
    .iter()
    .fold(command, |command, prefix| command.replace(prefix, "yanji "));
    let command = ["quick", "24h", "72h", "168h"]
        .iter()
        .fold(command, |command, profile| command.replace(&format!("--profile {profile}"), "--profile tiny.toml"));
    if command.contains("--profile") || command.contains("--resume") || command.contains("--help") {
        return command;
    }
    ["yanji certify", "yanji burn"]
        .iter()
        .fold(command, |command, burn| command.replace(burn, &format!("{burn} --profile tiny.toml")))
}

#[test]
fn console_blocks_are_read_with_their_exit_codes() {
    let readme = "```console\n$ yanji inspect \\\n    --host x\nout\n$ echo $?\n3\n```\n```sh\n$ yanji no\n```\n$ yanji no\n```console\n$ sudo yanji key gen\n```\n";
    let found = commands(readme);
    assert_eq!(
        found,
        [
            Shown { line: 2, command: "yanji inspect --host x".to_owned(), exit: Some(3) },
            Shown { line: 13, command: "sudo yanji key gen".to_owned(), exit: None },
        ]
    );
    assert_eq!(runnable("sudo yanji certify --profile 24h"), "yanji certify --profile tiny.toml");
    assert_eq!(runnable("cargo run --release -- inspect"), "yanji inspect");
    assert!(is_ours("sudo yanji x") && !is_ours("openssl rand -hex 32 > challenge"));
}

#[test]
fn every_command_in_the_readme_works_as_it_is_shown() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(&readme).unwrap_or_else(|error| panic!("{}: {error}", readme.display()));
    let place = Place::new();
    fs::create_dir(place.path("bin")).unwrap();
    symlink(YANJI, place.path("bin/yanji")).unwrap();
    let work = place.path("work");
    fs::create_dir(&work).unwrap();
    fs::write(work.join("tiny.toml"), super::certify::TINY_PROFILE).unwrap();
    RecordedMachine::server().archive(&work.join("host.tar.zst"));
    // Two modules that both carry the identity of one.
    for slot in ["slot-a1.bin", "slot-b1.bin"] {
        fs::write(work.join(slot), SpdImage::ddr4_rdimm().build()).unwrap();
    }
    for folder in ["signatures", "tests"] {
        symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), work.join(folder)).unwrap();
    }
    let path = format!("{}:{}", place.path("bin").display(), std::env::var("PATH").unwrap());
    let commands = commands(&text);
    assert!(commands.iter().filter(|shown| is_ours(&shown.command)).count() > 5, "{commands:#?}");
    for shown in commands {
        let ours = is_ours(&shown.command);
        // Of other programs only those that make what a later command reads.
        if !ours
            && !["openssl rand", "cat ", "mkdir ", "cp ", "rm "].iter().any(|start| shown.command.starts_with(start))
        {
            continue;
        }
        let mut command = std::process::Command::new("sh");
        command.arg("-c").arg(runnable(&shown.command)).current_dir(&work).env("PATH", &path);
        command
            .env("XDG_DATA_HOME", place.path("data"))
            .env("XDG_CONFIG_HOME", place.path("config"))
            .env("XDG_STATE_HOME", place.path("state"));
        let ran = Ran::from(command.env("LC_ALL", "C.UTF-8").stdin(std::process::Stdio::null()).output().unwrap());
        let context = format!("README.md:{}: {}\n{}\n{}", shown.line, shown.command, ran.stdout, ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{context}");
        match shown.exit {
            // A verdict depends on the machine; a mistake or a failure does not.
            Some(exit) if !matches!(exit, 0 | 1 | 3) => assert_eq!(ran.code, exit, "{context}"),
            _ if ours => assert!(matches!(ran.code, 0 | 1 | 3), "exit code {}: {context}", ran.code),
            _ => assert_eq!(ran.code, 0, "{context}"),
        }
    }
}

#[test]
fn the_policy_of_the_readme_is_one() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let blocks = readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let policies: Vec<_> = blocks.filter(|block| block.contains("[minimum]")).collect();
    assert_eq!(policies.len(), 1);
    TrustPolicy::parse(policies[0].as_bytes()).unwrap();
}
