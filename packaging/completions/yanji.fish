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
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
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
complete -c yanji -n "__fish_yanji_needs_command" -f -a "gpu-peers" -d 'Copy between GPUs'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "gpu-telemetry" -d 'Watch GPUs'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "verify" -d 'Check signed reports: signature, evidence, and that the verdict follows from it'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "cosign" -d 'Sign a report too, after a verification of your own'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "accept" -d 'Sign a receipt: what was certified, what came, and what is different'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "void" -d 'Sign that a document does not count any more'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "history" -d 'Put reports, receipts and withdrawals of a unit in order, and say what changed between them'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "evidence" -d 'List and get the raw evidence of a report'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "redact" -d 'Sign a certificate for the public that hides serial numbers and other facts'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "timestamp" -d 'Have a time-stamping authority confirm that a report was signed by now'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "export" -d 'Write a report in the form that other verifiers read'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "decode" -d 'Show what is in a file that was read from a part'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "image" -d 'Say what a TPM sees of a system image'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "key" -d 'Make and show signing keys'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "challenge" -d 'Ask for a fresh report: random bytes that it has to contain'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "trust" -d 'Say in a signed file whose signatures count for what'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "rules" -d 'List, explain and check the rules'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "completions" -d 'Print a shell completion script'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "generate" -d 'Write man pages, completions, help texts and JSON schemas'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "attest-build" -d 'Sign what packages were built from'
complete -c yanji -n "__fish_yanji_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand inspect" -l host -d 'Inspect a recorded machine: an archive of `yanji capture`, or a folder laid out like the root' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand inspect" -l claim -d 'What was sold: "RTX 4090 24GB, fan", "H100 SXM 80GB x8", "32x 64GB DDR5-5600 RDIMM new", "2x Xeon Platinum 8480+", "4x 3.84TB NVMe Samsung PM9A3"; or a TOML file with [[gpu]], [[dimm]], [[cpu]], [[drive]]. Several items are separated by ; or given one by one' -r
complete -c yanji -n "__fish_yanji_using_subcommand inspect" -l bmc -d 'Ask this management controller (BMC) for its memory modules too: https://host. Password: --bmc-credentials, or YANJI_BMC_USER and YANJI_BMC_PASSWORD' -r
complete -c yanji -n "__fish_yanji_using_subcommand inspect" -l bmc-ca -d 'Certificates, PEM, that may sign the controller\'s own, in place of the system\'s authorities' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand inspect" -l bmc-credentials -d 'File with user:password of the controller, which nobody else may read' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand inspect" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand inspect" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand inspect" -l no-rom -d 'Do not read the video BIOS of GPUs, for which their option ROM is switched on for a moment'
complete -c yanji -n "__fish_yanji_using_subcommand inspect" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand screen" -l claim -d 'What was sold: "RTX 4090 24GB, fan", "H100 SXM 80GB x8", "32x 64GB DDR5-5600 RDIMM new", "2x Xeon Platinum 8480+", "4x 3.84TB NVMe Samsung PM9A3"; or a TOML file with [[gpu]], [[dimm]], [[cpu]], [[drive]]. Several items are separated by ; or given one by one' -r
complete -c yanji -n "__fish_yanji_using_subcommand screen" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
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
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand capture" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand capture" -l no-rom -d 'Do not read the video BIOS of GPUs, for which their option ROM is switched on for a moment'
complete -c yanji -n "__fish_yanji_using_subcommand capture" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand capture" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand burn" -l profile -d 'quick (2 minutes), 24h, 72h, 168h, or a TOML file' -r
complete -c yanji -n "__fish_yanji_using_subcommand burn" -l out -d 'Folder for the records; must not hold those of another burn' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand burn" -l resume -d 'Go on with the burn in this folder for the rest of its time' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand burn" -l events -d 'Write every event as a JSON line to this file, or to standard output for -' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand burn" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand burn" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand burn" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand burn" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l out -d 'Folder for the report; made when it is missing [default: yanji-report-TIME]' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l profile -d 'What to burn in, and for how long: quick (2 minutes), 24h, 72h, 168h, or a TOML file' -r
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l key -d 'Private key to sign with [default: this machine\'s own, made on first use]' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l challenge -d 'Challenge of the buyer, which the report then contains: the file of yanji challenge new, 64 hexadecimal digits or 32 bytes' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l previous -d 'An earlier report about the same unit: its folder or its report.dsse.json. The new one names it by digest' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l relation -d 'What the earlier report is to the new one' -r -f -a "as-built\t'It shows the unit as it was built'
as-delivered\t'It shows the unit as it was delivered'
supersedes\t'The new one takes its place'"
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l condition -d 'Condition in which the machine is offered' -r -f -a "new\t'Never used'
used\t'Used'
refurbished\t'Used, then repaired or cleaned for sale'"
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l disclose -d 'Something the buyer should know: a repair, a replaced part, a known fault. May be given several times' -r
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l claim -d 'What was sold: "RTX 4090 24GB, fan", "H100 SXM 80GB x8", "32x 64GB DDR5-5600 RDIMM new", "2x Xeon Platinum 8480+", "4x 3.84TB NVMe Samsung PM9A3"; or a TOML file with [[gpu]], [[dimm]], [[cpu]], [[drive]]. Several items are separated by ; or given one by one' -r
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l host -d 'Certify a recorded machine. The burn-in is left out, and no policy accepts the result' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l bmc -d 'Ask this management controller (BMC) for its memory modules too: https://host. Password: --bmc-credentials, or YANJI_BMC_USER and YANJI_BMC_PASSWORD' -r
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l bmc-ca -d 'Certificates, PEM, that may sign the controller\'s own, in place of the system\'s authorities' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l bmc-credentials -d 'File with user:password of the controller, which nobody else may read' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l tpm -d 'TPM that confirms time and system: a device, tcp:HOST:PORT for one in software, or none [default: /dev/tpmrm0]' -r
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l tpm-certificate -d 'Certificates, PEM, that an authority issued for the TPM\'s attestation key, the key\'s own first' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l resume -d 'Go on with a run that was interrupted or cut off'
complete -c yanji -n "__fish_yanji_using_subcommand certify" -l no-rom -d 'Do not read the video BIOS of GPUs, for which their option ROM is switched on for a moment'
complete -c yanji -n "__fish_yanji_using_subcommand certify" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand certify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand worker" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand worker" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand worker" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand worker" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand nvml-reader" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand nvml-reader" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand nvml-reader" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand nvml-reader" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand gpu-worker" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand gpu-worker" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand gpu-worker" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand gpu-worker" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand gpu-peers" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand gpu-peers" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand gpu-peers" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand gpu-peers" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand gpu-telemetry" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand gpu-telemetry" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand gpu-telemetry" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand gpu-telemetry" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand verify" -l reveal -d 'Private file of a certificate: says what is hidden, where that is so' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand verify" -l known -d 'A serial number or another value that you know: says where the certificate hides it. May be given several times' -r
complete -c yanji -n "__fish_yanji_using_subcommand verify" -l key -d 'Public key that may sign, PEM or hexadecimal. Without it: this machine\'s own key and $XDG_CONFIG_HOME/yanji/trusted_keys. With --trust: a key that may have signed the policy' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand verify" -l trust -d 'Trust policy that says whose signatures count and what a report must reach, instead of trusted_keys' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand verify" -l tsa-root -d 'Root certificate of a time-stamping authority to believe, PEM; beside those of the policy' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand verify" -l device-root -d 'Authority that vouches for devices beside NVIDIA\'s own, PEM. May be given several times' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand verify" -l challenge -d 'Challenge that the report must answer, as yanji challenge new wrote it. Signed with this machine\'s own key, or by a buyer or auditor of the policy. The first answer is remembered, and another one refused' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand verify" -l jobs -d 'Reports to verify at once [default: one for each core]' -r
complete -c yanji -n "__fish_yanji_using_subcommand verify" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand verify" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand verify" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand cosign" -l key -d 'Private key to sign with [default: this machine\'s own, made on first use], or the public key of somebody whose signature counts [default: this machine\'s own and $XDG_CONFIG_HOME/yanji/trusted_keys] (with --trust: on the policy). May be given several times' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand cosign" -l trust -d 'Trust policy that says whose signatures count and what a report must reach, instead of trusted_keys' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand cosign" -l tsa-root -d 'Root certificate of a time-stamping authority to believe, PEM; beside those of the policy' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand cosign" -l device-root -d 'Authority that vouches for devices beside NVIDIA\'s own, PEM. May be given several times' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand cosign" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand cosign" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand cosign" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand cosign" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand accept" -l as-received -d 'What came: what yanji inspect --format json printed here, or a report of your own' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand accept" -s o -l out -d 'Where to write the receipt' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand accept" -l key -d 'Private key to sign with [default: this machine\'s own, made on first use], or the public key of somebody whose signature counts [default: this machine\'s own and $XDG_CONFIG_HOME/yanji/trusted_keys] (with --trust: on the policy). May be given several times' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand accept" -l trust -d 'Trust policy that says whose signatures count and what a report must reach, instead of trusted_keys' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand accept" -l tsa-root -d 'Root certificate of a time-stamping authority to believe, PEM; beside those of the policy' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand accept" -l device-root -d 'Authority that vouches for devices beside NVIDIA\'s own, PEM. May be given several times' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand accept" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand accept" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand accept" -l accept-differences -d 'Take what came although a part is missing, or another one, or could not be compared, or something about a report is indeterminate. The receipt says so'
complete -c yanji -n "__fish_yanji_using_subcommand accept" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand accept" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand void" -l reason -d 'Why' -r
complete -c yanji -n "__fish_yanji_using_subcommand void" -s o -l out -d 'Where to write the withdrawal' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand void" -l key -d 'Private key to sign with; one that signed the file [default: this machine\'s own]' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand void" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand void" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand void" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand void" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand history" -l key -d 'Public key that may sign, PEM or hexadecimal. Without it: this machine\'s own key and $XDG_CONFIG_HOME/yanji/trusted_keys. With --trust: a key that may have signed the policy' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand history" -l trust -d 'Trust policy that says whose signatures count and what a report must reach, instead of trusted_keys' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand history" -l tsa-root -d 'Root certificate of a time-stamping authority to believe, PEM; beside those of the policy' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand history" -l device-root -d 'Authority that vouches for devices beside NVIDIA\'s own, PEM. May be given several times' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand history" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand history" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand history" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and not __fish_seen_subcommand_from list get help" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and not __fish_seen_subcommand_from list get help" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and not __fish_seen_subcommand_from list get help" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and not __fish_seen_subcommand_from list get help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and not __fish_seen_subcommand_from list get help" -f -a "list" -d 'List every item with its size and digest, once all of them are the ones that were signed'
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and not __fish_seen_subcommand_from list get help" -f -a "get" -d 'Write one item, once its digest is the one that was signed'
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and not __fish_seen_subcommand_from list get help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and __fish_seen_subcommand_from list" -l key -d 'Public key that may sign, PEM or hexadecimal. Without it: this machine\'s own key and $XDG_CONFIG_HOME/yanji/trusted_keys. With --trust: a key that may have signed the policy' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and __fish_seen_subcommand_from list" -l trust -d 'Trust policy that says whose signatures count and what a report must reach, instead of trusted_keys' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and __fish_seen_subcommand_from list" -l tsa-root -d 'Root certificate of a time-stamping authority to believe, PEM; beside those of the policy' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and __fish_seen_subcommand_from list" -l device-root -d 'Authority that vouches for devices beside NVIDIA\'s own, PEM. May be given several times' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and __fish_seen_subcommand_from list" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and __fish_seen_subcommand_from list" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and __fish_seen_subcommand_from get" -s o -l out -d 'Where to write it [default: standard output]' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and __fish_seen_subcommand_from get" -l key -d 'Public key that may sign, PEM or hexadecimal. Without it: this machine\'s own key and $XDG_CONFIG_HOME/yanji/trusted_keys. With --trust: a key that may have signed the policy' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and __fish_seen_subcommand_from get" -l trust -d 'Trust policy that says whose signatures count and what a report must reach, instead of trusted_keys' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and __fish_seen_subcommand_from get" -l tsa-root -d 'Root certificate of a time-stamping authority to believe, PEM; beside those of the policy' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and __fish_seen_subcommand_from get" -l device-root -d 'Authority that vouches for devices beside NVIDIA\'s own, PEM. May be given several times' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and __fish_seen_subcommand_from get" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and __fish_seen_subcommand_from get" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and __fish_seen_subcommand_from get" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and __fish_seen_subcommand_from help" -f -a "list" -d 'List every item with its size and digest, once all of them are the ones that were signed'
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and __fish_seen_subcommand_from help" -f -a "get" -d 'Write one item, once its digest is the one that was signed'
complete -c yanji -n "__fish_yanji_using_subcommand evidence; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand redact" -l hide -d 'What to hide: serials (serial numbers, UUIDs, hardware addresses and other ids of one unit), and names of facts' -r
complete -c yanji -n "__fish_yanji_using_subcommand redact" -s o -l out -d 'Folder for the certificate; made when it is missing. Its private file is written beside it: DIR.private-salts.json' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand redact" -l key -d 'Private key to sign with [default: this machine\'s own, made on first use], or the public key of somebody whose signature counts [default: this machine\'s own and $XDG_CONFIG_HOME/yanji/trusted_keys] (with --trust: on the policy). May be given several times' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand redact" -l trust -d 'Trust policy that says whose signatures count and what a report must reach, instead of trusted_keys' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand redact" -l tsa-root -d 'Root certificate of a time-stamping authority to believe, PEM; beside those of the policy' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand redact" -l device-root -d 'Authority that vouches for devices beside NVIDIA\'s own, PEM. May be given several times' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand redact" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand redact" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand redact" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand redact" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand timestamp" -l tsa -d 'Address of the authority: http:// or https://. It is sent the SHA-256 of each signature, and nothing else' -r
complete -c yanji -n "__fish_yanji_using_subcommand timestamp" -l request -d 'Write a request over the first signature without a timestamp, to be carried to an authority. With --response: read the request that it must answer' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand timestamp" -l response -d 'Add the response that came back' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand timestamp" -l tsa-root -d 'Root certificate of the authority, PEM, to check now what it sent' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand timestamp" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand timestamp" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand timestamp" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand timestamp" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand export" -s o -l output -d 'File for the bundle' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand export" -l html -d 'File for a page that shows the statement and checks its signature in a browser, with a key that is typed in' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand export" -l pae -d 'File for the bytes that are signed, as OpenSSL wants them' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand export" -l signature -d 'File for the 64 bytes of the signature. Of several signatures each has a file of its own' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand export" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand export" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand export" -l sigstore -d 'Write a Sigstore bundle of version 0.3. Of several signatures each has a file of its own'
complete -c yanji -n "__fish_yanji_using_subcommand export" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and not __fish_seen_subcommand_from spd smbios vbios nvidia-evidence help" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand decode; and not __fish_seen_subcommand_from spd smbios vbios nvidia-evidence help" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand decode; and not __fish_seen_subcommand_from spd smbios vbios nvidia-evidence help" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and not __fish_seen_subcommand_from spd smbios vbios nvidia-evidence help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and not __fish_seen_subcommand_from spd smbios vbios nvidia-evidence help" -f -a "spd" -d 'The EEPROM of a memory module (SPD), as sysfs or a programmer read it, or as a hexadecimal dump'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and not __fish_seen_subcommand_from spd smbios vbios nvidia-evidence help" -f -a "smbios" -d 'The tables of the firmware (SMBIOS): dmidecode --dump-bin, /sys/firmware/dmi/tables/DMI, or what dmidecode prints'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and not __fish_seen_subcommand_from spd smbios vbios nvidia-evidence help" -f -a "vbios" -d 'The VBIOS of an NVIDIA graphics card, as sysfs, nvflash or a flash programmer read it'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and not __fish_seen_subcommand_from spd smbios vbios nvidia-evidence help" -f -a "nvidia-evidence" -d 'What an NVIDIA GPU or NVSwitch signed of itself: decodes and verifies it, and exits with 4 when anything fails'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and not __fish_seen_subcommand_from spd smbios vbios nvidia-evidence help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from spd" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from spd" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from spd" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from spd" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from smbios" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from smbios" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from smbios" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from smbios" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from vbios" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from vbios" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from vbios" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from vbios" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from nvidia-evidence" -l nonce -d 'What the devices were asked to sign: 64 hexadecimal digits. Without it the nonce of each file counts, which says nothing about when' -r
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from nvidia-evidence" -l device-root -d 'Authority that vouches for devices beside NVIDIA\'s own, PEM. May be given several times' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from nvidia-evidence" -l revoked -d 'Serial number of a certificate that was revoked, or PDI of a device that was: hexadecimal, with or without colons. May be given several times' -r
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from nvidia-evidence" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from nvidia-evidence" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from nvidia-evidence" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from nvidia-evidence" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from help" -f -a "spd" -d 'The EEPROM of a memory module (SPD), as sysfs or a programmer read it, or as a hexadecimal dump'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from help" -f -a "smbios" -d 'The tables of the firmware (SMBIOS): dmidecode --dump-bin, /sys/firmware/dmi/tables/DMI, or what dmidecode prints'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from help" -f -a "vbios" -d 'The VBIOS of an NVIDIA graphics card, as sysfs, nvflash or a flash programmer read it'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from help" -f -a "nvidia-evidence" -d 'What an NVIDIA GPU or NVSwitch signed of itself: decodes and verifies it, and exits with 4 when anything fails'
complete -c yanji -n "__fish_yanji_using_subcommand decode; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand image; and not __fish_seen_subcommand_from measure help" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand image; and not __fish_seen_subcommand_from measure help" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand image; and not __fish_seen_subcommand_from measure help" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand image; and not __fish_seen_subcommand_from measure help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand image; and not __fish_seen_subcommand_from measure help" -f -a "measure" -d 'Compute what a TPM\'s registers hold when this image runs, for the [[image]] lines of a trust policy'
complete -c yanji -n "__fish_yanji_using_subcommand image; and not __fish_seen_subcommand_from measure help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand image; and __fish_seen_subcommand_from measure" -l phase -d 'Phase of the boot that the system measures after the kernel has started; may be given several times, in order. All that systemd knows: enter-initrd, leave-initrd, sysinit, ready' -r
complete -c yanji -n "__fish_yanji_using_subcommand image; and __fish_seen_subcommand_from measure" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand image; and __fish_seen_subcommand_from measure" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand image; and __fish_seen_subcommand_from measure" -l systemd-phases -d 'The four phases that systemd measures'
complete -c yanji -n "__fish_yanji_using_subcommand image; and __fish_seen_subcommand_from measure" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand image; and __fish_seen_subcommand_from measure" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "measure" -d 'Compute what a TPM\'s registers hold when this image runs, for the [[image]] lines of a trust policy'
complete -c yanji -n "__fish_yanji_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand key; and not __fish_seen_subcommand_from gen show help" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand key; and not __fish_seen_subcommand_from gen show help" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand key; and not __fish_seen_subcommand_from gen show help" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand key; and not __fish_seen_subcommand_from gen show help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand key; and not __fish_seen_subcommand_from gen show help" -f -a "gen" -d 'Make an Ed25519 key: a private key file (mode 0600) and its public half beside it (FILE.pub)'
complete -c yanji -n "__fish_yanji_using_subcommand key; and not __fish_seen_subcommand_from gen show help" -f -a "show" -d 'Show the id and the public half of a key; a private key is never shown'
complete -c yanji -n "__fish_yanji_using_subcommand key; and not __fish_seen_subcommand_from gen show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from gen" -l out -d 'Where to write the private key [default: this machine\'s own key, $XDG_DATA_HOME/yanji/key.pem]' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from gen" -l passphrase-file -d 'Encrypt it with the first line of this file instead of YANJI_PASSPHRASE or a prompt' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from gen" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from gen" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from gen" -l no-passphrase -d 'Do not encrypt it'
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from gen" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from gen" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from show" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from show" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "gen" -d 'Make an Ed25519 key: a private key file (mode 0600) and its public half beside it (FILE.pub)'
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show the id and the public half of a key; a private key is never shown'
complete -c yanji -n "__fish_yanji_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand challenge; and not __fish_seen_subcommand_from new help" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand challenge; and not __fish_seen_subcommand_from new help" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand challenge; and not __fish_seen_subcommand_from new help" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand challenge; and not __fish_seen_subcommand_from new help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand challenge; and not __fish_seen_subcommand_from new help" -f -a "new" -d 'Sign 32 random bytes, which the seller\'s report then has to contain: it cannot have been made before'
complete -c yanji -n "__fish_yanji_using_subcommand challenge; and not __fish_seen_subcommand_from new help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand challenge; and __fish_seen_subcommand_from new" -l for -d 'What it is for: an order number. One challenge for one machine' -r
complete -c yanji -n "__fish_yanji_using_subcommand challenge; and __fish_seen_subcommand_from new" -l expires -d 'How long the seller may take to begin: 7d, 12h' -r
complete -c yanji -n "__fish_yanji_using_subcommand challenge; and __fish_seen_subcommand_from new" -s o -l out -d 'File to write; nothing is overwritten' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand challenge; and __fish_seen_subcommand_from new" -l key -d 'Private key to sign with [default: this machine\'s own, made on first use]' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand challenge; and __fish_seen_subcommand_from new" -l for-tpm -d 'Carry a secret that only the machine\'s TPM can read: an earlier report of the machine, which need not be believed, says which TPM. The answer proves that the vendor\'s certificate is that of the TPM which signs' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand challenge; and __fish_seen_subcommand_from new" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand challenge; and __fish_seen_subcommand_from new" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand challenge; and __fish_seen_subcommand_from new" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand challenge; and __fish_seen_subcommand_from new" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand challenge; and __fish_seen_subcommand_from help" -f -a "new" -d 'Sign 32 random bytes, which the seller\'s report then has to contain: it cannot have been made before'
complete -c yanji -n "__fish_yanji_using_subcommand challenge; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and not __fish_seen_subcommand_from init add revoke show sign help" -l file -d 'The policy; its signature lies beside it (FILE.dsse.json)' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand trust; and not __fish_seen_subcommand_from init add revoke show sign help" -l key -d 'Private key of an owner of the policy; for show: a public key that may have signed it [default: this machine\'s own]' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand trust; and not __fish_seen_subcommand_from init add revoke show sign help" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand trust; and not __fish_seen_subcommand_from init add revoke show sign help" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand trust; and not __fish_seen_subcommand_from init add revoke show sign help" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and not __fish_seen_subcommand_from init add revoke show sign help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and not __fish_seen_subcommand_from init add revoke show sign help" -f -a "init" -d 'Make a policy that this key owns'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and not __fish_seen_subcommand_from init add revoke show sign help" -f -a "add" -d 'Add a key, raise the version, sign'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and not __fish_seen_subcommand_from init add revoke show sign help" -f -a "revoke" -d 'Revoke a key, raise the version, sign'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and not __fish_seen_subcommand_from init add revoke show sign help" -f -a "show" -d 'Show the policy, and whether its signature holds'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and not __fish_seen_subcommand_from init add revoke show sign help" -f -a "sign" -d 'Sign the policy as it is: after editing it, or as one more owner'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and not __fish_seen_subcommand_from init add revoke show sign help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from init" -l name -d 'Name of the policy: versions are counted by it' -r
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from init" -l expires -d 'How long it is used: 365d' -r
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from init" -l file -d 'The policy; its signature lies beside it (FILE.dsse.json)' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from init" -l key -d 'Private key of an owner of the policy; for show: a public key that may have signed it [default: this machine\'s own]' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from init" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from init" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from init" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from add" -l public -d 'The public key: a file, or 64 hexadecimal digits' -r
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from add" -l ssh -d 'Take all Ed25519 keys of an OpenSSH allowed_signers file instead' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from add" -l role -d 'What its holder is: owner, seller, buyer, auditor, witness. May be given several times' -r
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from add" -l scope -d 'What it may sign: certify, challenge, acceptance, policy [default: what follows from the roles]' -r
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from add" -l valid-from -d 'Nothing that it signed before counts (RFC 3339)' -r
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from add" -l valid-until -d 'Nothing that it signed after counts (RFC 3339)' -r
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from add" -l file -d 'The policy; its signature lies beside it (FILE.dsse.json)' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from add" -l key -d 'Private key of an owner of the policy; for show: a public key that may have signed it [default: this machine\'s own]' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from add" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from add" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from add" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from revoke" -l at -d 'From when on somebody else could sign with it (RFC 3339). Without it nothing that it signed counts' -r
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from revoke" -l reason -d 'Why' -r
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from revoke" -l file -d 'The policy; its signature lies beside it (FILE.dsse.json)' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from revoke" -l key -d 'Private key of an owner of the policy; for show: a public key that may have signed it [default: this machine\'s own]' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from revoke" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from revoke" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from revoke" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from show" -l file -d 'The policy; its signature lies beside it (FILE.dsse.json)' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from show" -l key -d 'Private key of an owner of the policy; for show: a public key that may have signed it [default: this machine\'s own]' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from show" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from show" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from sign" -l file -d 'The policy; its signature lies beside it (FILE.dsse.json)' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from sign" -l key -d 'Private key of an owner of the policy; for show: a public key that may have signed it [default: this machine\'s own]' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from sign" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from sign" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from sign" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from sign" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from help" -f -a "init" -d 'Make a policy that this key owns'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from help" -f -a "add" -d 'Add a key, raise the version, sign'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'Revoke a key, raise the version, sign'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show the policy, and whether its signature holds'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from help" -f -a "sign" -d 'Sign the policy as it is: after editing it, or as one more owner'
complete -c yanji -n "__fish_yanji_using_subcommand trust; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and not __fish_seen_subcommand_from list explain lint facts help" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand rules; and not __fish_seen_subcommand_from list explain lint facts help" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand rules; and not __fish_seen_subcommand_from list explain lint facts help" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and not __fish_seen_subcommand_from list explain lint facts help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and not __fish_seen_subcommand_from list explain lint facts help" -f -a "list" -d 'One line a rule'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and not __fish_seen_subcommand_from list explain lint facts help" -f -a "explain" -d 'Everything about one rule: why, innocent causes, what to do'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and not __fish_seen_subcommand_from list explain lint facts help" -f -a "lint" -d 'Check the rules: facts that exist, sources, examples that come out as they say'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and not __fish_seen_subcommand_from list explain lint facts help" -f -a "facts" -d 'The facts that rules can name'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and not __fish_seen_subcommand_from list explain lint facts help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from list" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from list" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from explain" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from explain" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from explain" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from lint" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from lint" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from lint" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from lint" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from facts" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from facts" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from facts" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from facts" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "list" -d 'One line a rule'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "explain" -d 'Everything about one rule: why, innocent causes, what to do'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "lint" -d 'Check the rules: facts that exist, sources, examples that come out as they say'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "facts" -d 'The facts that rules can name'
complete -c yanji -n "__fish_yanji_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand completions" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand completions" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand completions" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand generate" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand generate" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand generate" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand generate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand attest-build" -l key -d 'Private key to sign with [default: this machine\'s own, made on first use]' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand attest-build" -s o -l output -d 'File for the envelope' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand attest-build" -l format -d 'How to print the result' -r -f -a "plain\t'Tables for a person'
json\t'One JSON document'
csv\t'A table for a spreadsheet; of verify only'"
complete -c yanji -n "__fish_yanji_using_subcommand attest-build" -l signatures -d 'Use the rules in this folder instead of the built-in ones' -r -F
complete -c yanji -n "__fish_yanji_using_subcommand attest-build" -s v -l verbose -d 'Say more on standard error; twice for still more'
complete -c yanji -n "__fish_yanji_using_subcommand attest-build" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "inspect" -d 'Look at this machine, or at a recorded one, and say whether it is what it claims to be'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "screen" -d 'Judge what a seller sent: nvidia-smi, lspci and other printouts of a machine that is not here'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "capture" -d 'Record what an inspection reads, so that it can be inspected elsewhere'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "burn" -d 'Load memory and processors, and check every bit that comes back'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "certify" -d 'Inspect, burn in, and write a signed report'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "worker" -d 'Run one workload of a burn-in'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "nvml-reader" -d 'Ask NVML'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "gpu-worker" -d 'Burn one GPU'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "gpu-peers" -d 'Copy between GPUs'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "gpu-telemetry" -d 'Watch GPUs'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "verify" -d 'Check signed reports: signature, evidence, and that the verdict follows from it'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "cosign" -d 'Sign a report too, after a verification of your own'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "accept" -d 'Sign a receipt: what was certified, what came, and what is different'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "void" -d 'Sign that a document does not count any more'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "history" -d 'Put reports, receipts and withdrawals of a unit in order, and say what changed between them'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "evidence" -d 'List and get the raw evidence of a report'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "redact" -d 'Sign a certificate for the public that hides serial numbers and other facts'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "timestamp" -d 'Have a time-stamping authority confirm that a report was signed by now'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "export" -d 'Write a report in the form that other verifiers read'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "decode" -d 'Show what is in a file that was read from a part'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "image" -d 'Say what a TPM sees of a system image'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "key" -d 'Make and show signing keys'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "challenge" -d 'Ask for a fresh report: random bytes that it has to contain'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "trust" -d 'Say in a signed file whose signatures count for what'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "rules" -d 'List, explain and check the rules'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "completions" -d 'Print a shell completion script'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "generate" -d 'Write man pages, completions, help texts and JSON schemas'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "attest-build" -d 'Sign what packages were built from'
complete -c yanji -n "__fish_yanji_using_subcommand help; and not __fish_seen_subcommand_from inspect screen capture burn certify worker nvml-reader gpu-worker gpu-peers gpu-telemetry verify cosign accept void history evidence redact timestamp export decode image key challenge trust rules completions generate attest-build help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from evidence" -f -a "list" -d 'List every item with its size and digest, once all of them are the ones that were signed'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from evidence" -f -a "get" -d 'Write one item, once its digest is the one that was signed'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from decode" -f -a "spd" -d 'The EEPROM of a memory module (SPD), as sysfs or a programmer read it, or as a hexadecimal dump'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from decode" -f -a "smbios" -d 'The tables of the firmware (SMBIOS): dmidecode --dump-bin, /sys/firmware/dmi/tables/DMI, or what dmidecode prints'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from decode" -f -a "vbios" -d 'The VBIOS of an NVIDIA graphics card, as sysfs, nvflash or a flash programmer read it'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from decode" -f -a "nvidia-evidence" -d 'What an NVIDIA GPU or NVSwitch signed of itself: decodes and verifies it, and exits with 4 when anything fails'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from image" -f -a "measure" -d 'Compute what a TPM\'s registers hold when this image runs, for the [[image]] lines of a trust policy'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "gen" -d 'Make an Ed25519 key: a private key file (mode 0600) and its public half beside it (FILE.pub)'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "show" -d 'Show the id and the public half of a key; a private key is never shown'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from challenge" -f -a "new" -d 'Sign 32 random bytes, which the seller\'s report then has to contain: it cannot have been made before'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from trust" -f -a "init" -d 'Make a policy that this key owns'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from trust" -f -a "add" -d 'Add a key, raise the version, sign'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from trust" -f -a "revoke" -d 'Revoke a key, raise the version, sign'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from trust" -f -a "show" -d 'Show the policy, and whether its signature holds'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from trust" -f -a "sign" -d 'Sign the policy as it is: after editing it, or as one more owner'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from rules" -f -a "list" -d 'One line a rule'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from rules" -f -a "explain" -d 'Everything about one rule: why, innocent causes, what to do'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from rules" -f -a "lint" -d 'Check the rules: facts that exist, sources, examples that come out as they say'
complete -c yanji -n "__fish_yanji_using_subcommand help; and __fish_seen_subcommand_from rules" -f -a "facts" -d 'The facts that rules can name'
