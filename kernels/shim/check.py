#!/usr/bin/env python3
"""Compiles the kernels for the processor and prints the known answers (JSON lines).

  check.py            prints them; fails if they are not those in known_answers.jsonl
  check.py --update   writes known_answers.jsonl
"""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
KNOWN = os.path.join(HERE, "known_answers.jsonl")


def main():
    build = os.path.join(HERE, "build")
    os.makedirs(build, exist_ok=True)
    program = os.path.join(build, "known_answers")
    compiler = ["g++", "-std=c++17", "-O2", "-Wall", "-ffp-contract=off", "-Wno-unknown-pragmas", "-Wno-unused-function", "-DYANJI_SHIM"]
    subprocess.run([*compiler, f"-I{HERE}", f"-I{os.path.dirname(HERE)}", "-o", program, os.path.join(HERE, "known_answers.cpp")], check=True)
    answers = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    if "--update" in sys.argv[1:]:
        with open(KNOWN, "w") as f:
            f.write(answers)
        return 0
    sys.stdout.write(answers)
    with open(KNOWN) as f:
        if f.read() == answers:
            return 0
    print("FAIL the answers are not those of known_answers.jsonl", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
