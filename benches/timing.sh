# For the other scripts here: wall times of processes.

# The median of the numbers on standard input.
median_ms() { sort -n | awk '{ value[NR] = $1 } END { print (NR % 2) ? value[(NR + 1) / 2] : (value[NR / 2] + value[NR / 2 + 1]) / 2 }'; }

# How long a command takes, in milliseconds, however it ends.
time_ms() {
  local begin end
  begin=$(date +%s%N)
  "$@" >/dev/null 2>&1 || true
  end=$(date +%s%N)
  awk "BEGIN { print ($end - $begin) / 1e6 }"
}
