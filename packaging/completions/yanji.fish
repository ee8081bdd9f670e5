# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_yanji_global_optspecs
    string join \n format= signatures= v/verbose h/help V/version
end

function __fish_yanji_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_yanji_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_yanji_using_subcommand
    set -l cmd (__fish_yanji_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c yanji -n "__fish_yanji_needs_command" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_needs_command" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_needs_command" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_needs_command" -s V -l version -d 'Print version'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "inspect" -d 'Look at this machine, or at a recorded one, and say whether it is what it claims to be'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "screen" -d 'Judge what a seller sent: nvidia-smi, lspci and other printouts of a machine that is not here'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "capture" -d 'Record what an inspection reads, so that it can be inspected elsewhere'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "burn" -d 'Load memory and processors, and check every bit that comes back'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "certify" -d 'Inspect, burn in, and write a signed report'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "worker" -d 'Run one workload of a burn-in'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "nvml-reader" -d 'Ask NVML'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "gpu-worker" -d 'Burn one GPU'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "gpu-telemetry" -d 'Watch GPUs'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "verify" -d 'Check signed reports: signature, evidence, and that the verdict follows from it'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "decode" -d 'Show what is in a file that was read from a part'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "key" -d 'Make and show signing keys'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "rules" -d 'List, explain and check the rules'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "completions" -d 'Print a shell completion script'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "generate" -d 'Write man pages, completions, help texts and JSON schemas'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand inspect" -l host -d 'Inspect a recorded machine: an archive of `yanji capture`, or a folder laid out like the root' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand inspect" -l claim -d 'What was sold: "RTX 4090 24GB, fan", "H100 SXM 80GB x8", "32x 64GB DDR5-5600 RDIMM new", "2x Xeon Platinum 8480+", "4x 3.84TB NVMe Samsung PM9A3"; or a TOML file with [[gpu]], [[dimm]], [[cpu]], [[drive]]. Several items are separated by ; or given one by one' -r
complete -c yanji -n "__fish_yanji_using_subcommand inspect" -l bmc -d 'Ask this management controller (BMC) for its memory modules too: https://host. Password: --bmc-credentials, or YANJI_BMC_USER and YANJI_BMC_PASSWORD' -r
complete -c yanji -n "__fish_yanji_using_subcommand inspect" -l bmc-ca -d 'Certificates, PEM, that may sign the controller\'s own, in place of the system\'s authorities' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand inspect" -l bmc-credentials -d 'File with user:password of the controller, which nobody else may read' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand inspect" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand inspect" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand inspect" -l no-rom -d 'Do not read the video BIOS of GPUs, for which their option ROM is switched on for a moment'
complete -c yanji -n "__fish_yanji_using_subcommand inspect" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand screen" -l claim -d 'What was sold: "RTX 4090 24GB, fan", "H100 SXM 80GB x8", "32x 64GB DDR5-5600 RDIMM new", "2x Xeon Platinum 8480+", "4x 3.84TB NVMe Samsung PM9A3"; or a TOML file with [[gpu]], [[dimm]], [[cpu]], [[drive]]. Several items are separated by ; or given one by one' -r
complete -c yanji -n "__fish_yanji_using_subcommand screen" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand screen" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand screen" -l same-machine -d 'All files are about one machine'
complete -c yanji -n "__fish_yanji_using_subcommand screen" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand screen" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand capture" -s o -l out -d 'Archive to write' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand capture" -l host -d 'Record a recorded machine again, with what this version reads' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand capture" -l bmc -d 'Ask this management controller (BMC) for its memory modules too: https://host. Password: --bmc-credentials, or YANJI_BMC_USER and YANJI_BMC_PASSWORD' -r
complete -c yanji -n "__fish_yanji_using_subcommand capture" -l bmc-ca -d 'Certificates, PEM, that may sign the controller\'s own, in place of the system\'s authorities' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand capture" -l bmc-credentials -d 'File with user:password of the controller, which nobody else may read' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand capture" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand capture" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand capture" -l no-rom -d 'Do not read the video BIOS of GPUs, for which their option ROM is switched on for a moment'
complete -c yanji -n "__fish_yanji_using_subcommand capture" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand capture" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand burn" -l profile -d 'quick (2 minutes), 24h, 72h, 168h, or a TOML file' -r
complete -c yanji -n "__fish_yanji_using_subcommand burn" -l out -d 'Folder for the records; must not hold those of another burn' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand burn" -l resume -d 'Go on with the burn in this folder for the rest of its time' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand burn" -l events -d 'Write every event as a JSON line to this file, or to standard output for -' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand burn" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand burn" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand burn" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand burn" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l out -d 'Folder for the report; made when it is missing [default: yanji-report-TIME]' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l profile -d 'What to burn in, and for how long: quick (2 minutes), 24h, 72h, 168h, or a TOML file' -r
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l key -d 'Private key to sign with [default: this machine\'s own, made on first use]' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l challenge -d 'Challenge of the buyer: 64 hexadecimal digits or 32 bytes, which the report then contains' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l condition -d 'Condition in which the machine is offered' -r -f -a "new\t'Never used'
used\t'Used'
refurbished\t'Used, then repaired or cleaned for sale'"
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l disclose -d 'Something the buyer should know: a repair, a replaced part, a known fault. May be given several times' -r
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l claim -d 'What was sold: "RTX 4090 24GB, fan", "H100 SXM 80GB x8", "32x 64GB DDR5-5600 RDIMM new", "2x Xeon Platinum 8480+", "4x 3.84TB NVMe Samsung PM9A3"; or a TOML file with [[gpu]], [[dimm]], [[cpu]], [[drive]]. Several items are separated by ; or given one by one' -r
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l host -d 'Certify a recorded machine. The burn-in is left out, and no policy accepts the result' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l bmc -d 'Ask this management controller (BMC) for its memory modules too: https://host. Password: --bmc-credentials, or YANJI_BMC_USER and YANJI_BMC_PASSWORD' -r
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l bmc-ca -d 'Certificates, PEM, that may sign the controller\'s own, in place of the system\'s authorities' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l bmc-credentials -d 'File with user:password of the controller, which nobody else may read' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l resume -d 'Go on with a run that was interrupted or cut off'
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l no-rom -d 'Do not read the video BIOS of GPUs, for which their option ROM is switched on for a moment'
complete -c yanji -n "__fish_yanji_using_subcommand certify" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand certify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand worker" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand worker" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand worker" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand worker" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand nvml-reader" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand nvml-reader" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand nvml-reader" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand nvml-reader" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand gpu-worker" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand gpu-worker" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand gpu-worker" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand gpu-worker" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand gpu-telemetry" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand gpu-telemetry" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand gpu-telemetry" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand gpu-telemetry" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand verify" -l key -d 'Public key that may sign, PEM or hexadecimal. Without it: this machine\'s own key and $XDG_CONFIG_HOME/yanji/trusted_keys' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand verify" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand verify" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand verify" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and not __fish_seen_subcommand_from spd smbios vbios help" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand decode; and not __fish_seen_subcommand_from spd smbios vbios help" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand decode; and not __fish_seen_subcommand_from spd smbios vbios help" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and not __fish_seen_subcommand_from spd smbios vbios help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and not __fish_seen_subcommand_from spd smbios vbios help" -f -a "spd" -d 'The EEPROM of a memory module (SPD), as sysfs or a programmer read it, or as a hexadecimal dump'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and not __fish_seen_subcommand_from spd smbios vbios help" -f -a "smbios" -d 'The tables of the firmware (SMBIOS): dmidecode --dump-bin, /sys/firmware/dmi/tables/DMI, or what dmidecode prints'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and not __fish_seen_subcommand_from spd smbios vbios help" -f -a "vbios" -d 'The VBIOS of an NVIDIA graphics card, as sysfs, nvflash or a flash programmer read it'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and not __fish_seen_subcommand_from spd smbios vbios help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from spd" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from spd" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from spd" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from spd" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from smbios" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from smbios" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from smbios" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from smbios" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from vbios" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from vbios" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from vbios" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from vbios" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from help" -f -a "spd" -d 'The EEPROM of a memory module (SPD), as sysfs or a programmer read it, or as a hexadecimal dump'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from help" -f -a "smbios" -d 'The tables of the firmware (SMBIOS): dmidecode --dump-bin, /sys/firmware/dmi/tables/DMI, or what dmidecode prints'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from help" -f -a "vbios" -d 'The VBIOS of an NVIDIA graphics card, as sysfs, nvflash or a flash programmer read it'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand key; and not __fish_seen_subcommand_from gen show help" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand key; and not __fish_seen_subcommand_from gen show help" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand key; and not __fish_seen_subcommand_from gen show help" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand key; and not __fish_seen_subcommand_from gen show help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand key; and not __fish_seen_subcommand_from gen show help" -f -a "gen" -d 'Make an Ed25519 key: a private key file (mode 0600) and its public half beside it (FILE.pub)'
complete -c yanji -n "__fish_yanji_using_subcommand key; and not __fish_seen_subcommand_from gen show help" -f -a "show" -d 'Show the id and the public half of a key; a private key is never shown'
complete -c yanji -n "__fish_yanji_using_subcommand key; and not __fish_seen_subcommand_from gen show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from gen" -l out -d 'Where to write the private key [default: this machine\'s own key, $XDG_DATA_HOME/yanji/key.pem]' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from gen" -l passphrase-file -d 'Encrypt it with the first line of this file instead of YANJI_PASSPHRASE or a prompt' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from gen" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from gen" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from gen" -l no-passphrase -d 'Do not encrypt it'
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from gen" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from gen" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from show" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from show" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "gen" -d 'Make an Ed25519 key: a private key file (mode 0600) and its public half beside it (FILE.pub)'
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show the id and the public half of a key; a private key is never shown'
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and not __fish_seen_subcommand_from list explain lint facts help" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand rules; and not __fish_seen_subcommand_from list explain lint facts help" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand rules; and not __fish_seen_subcommand_from list explain lint facts help" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and not __fish_seen_subcommand_from list explain lint facts help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and not __fish_seen_subcommand_from list explain lint facts help" -f -a "list" -d 'One line a rule'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and not __fish_seen_subcommand_from list explain lint facts help" -f -a "explain" -d 'Everything about one rule: why, innocent causes, what to do'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and not __fish_seen_subcommand_from list explain lint facts help" -f -a "lint" -d 'Check the rules: facts that exist, sources, examples that come out as they say'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and not __fish_seen_subcommand_from list explain lint facts help" -f -a "facts" -d 'The facts that rules can name'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and not __fish_seen_subcommand_from list explain lint facts help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from list" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from list" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from explain" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from explain" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from explain" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from lint" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from lint" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from lint" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from lint" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from facts" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from facts" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from facts" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from facts" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "list" -d 'One line a rule'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "explain" -d 'Everything about one rule: why, innocent causes, what to do'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "lint" -d 'Check the rules: facts that exist, sources, examples that come out as they say'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "facts" -d 'The facts that rules can name'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand completions" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand completions" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand completions" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand generate" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'"
complete -c yanji -n "__fish_yanji_using_subcommand generate" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand generate" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand generate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-telemetry verify decode key rules completions generate help" -f -a "inspect" -d 'Look at this machine, or at a recorded one, and say whether it is what it claims to be'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-telemetry verify decode key rules completions generate help" -f -a "screen" -d 'Judge what a seller sent: nvidia-smi, lspci and other printouts of a machine that is not here'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-telemetry verify decode key rules completions generate help" -f -a "capture" -d 'Record what an inspection reads, so that it can be inspected elsewhere'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-telemetry verify decode key rules completions generate help" -f -a "burn" -d 'Load memory and processors, and check every bit that comes back'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-telemetry verify decode key rules completions generate help" -f -a "certify" -d 'Inspect, burn in, and write a signed report'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-telemetry verify decode key rules completions generate help" -f -a "worker" -d 'Run one workload of a burn-in'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-telemetry verify decode key rules completions generate help" -f -a "nvml-reader" -d 'Ask NVML'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-telemetry verify decode key rules completions generate help" -f -a "gpu-worker" -d 'Burn one GPU'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-telemetry verify decode key rules completions generate help" -f -a "gpu-telemetry" -d 'Watch GPUs'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-telemetry verify decode key rules completions generate help" -f -a "verify" -d 'Check signed reports: signature, evidence, and that the verdict follows from it'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-telemetry verify decode key rules completions generate help" -f -a "decode" -d 'Show what is in a file that was read from a part'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-telemetry verify decode key rules completions generate help" -f -a "key" -d 'Make and show signing keys'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-telemetry verify decode key rules completions generate help" -f -a "rules" -d 'List, explain and check the rules'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-telemetry verify decode key rules completions generate help" -f -a "completions" -d 'Print a shell completion script'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-telemetry verify decode key rules completions generate help" -f -a "generate" -d 'Write man pages, completions, help texts and JSON schemas'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-telemetry verify decode key rules completions generate help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from decode" -f -a "spd" -d 'The EEPROM of a memory module (SPD), as sysfs or a programmer read it, or as a hexadecimal dump'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from decode" -f -a "smbios" -d 'The tables of the firmware (SMBIOS): dmidecode --dump-bin, /sys/firmware/dmi/tables/DMI, or what dmidecode prints'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from decode" -f -a "vbios" -d 'The VBIOS of an NVIDIA graphics card, as sysfs, nvflash or a flash programmer read it'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "gen" -d 'Make an Ed25519 key: a private key file (mode 0600) and its public half beside it (FILE.pub)'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "show" -d 'Show the id and the public half of a key; a private key is never shown'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from rules" -f -a "list" -d 'One line a rule'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from rules" -f -a "explain" -d 'Everything about one rule: why, innocent causes, what to do'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from rules" -f -a "lint" -d 'Check the rules: facts that exist, sources, examples that come out as they say'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from rules" -f -a "facts" -d 'The facts that rules can name'
