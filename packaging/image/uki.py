#!/usr/bin/env python3
"""uki.py --stub STUB --out FILE SECTION=FILE…: a unified kernel image (UAPI group specification): the stub with more PE sections.

Written out by hand so that the same input gives the same bytes: objcopy stamps the time into the PE header. The sections are laid
behind those of the stub in the order given; a zstd-packed initial file system must come last, since the kernel in .linux grows in
place when it unpacks itself.
"""
import argparse
import struct

CONTENT = 0x40000040  # initialised data, readable


def aligned(value, alignment):
    return (value + alignment - 1) // alignment * alignment


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--stub", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("sections", nargs="+", metavar="SECTION=FILE")
    arguments = parser.parse_args()
    image = bytearray(open(arguments.stub, "rb").read())
    # PE format, "Optional Header (Image Only)" and "Section Table".
    pe = struct.unpack_from("<I", image, 0x3C)[0]
    if image[pe : pe + 4] != b"PE\0\0":
        raise SystemExit("the stub is no PE image")
    count, optional_size = struct.unpack_from("<H", image, pe + 6)[0], struct.unpack_from("<H", image, pe + 20)[0]
    optional = pe + 24
    section_alignment, file_alignment = struct.unpack_from("<II", image, optional + 32)
    headers_size = struct.unpack_from("<I", image, optional + 60)[0]
    table = optional + optional_size
    end_of_memory, first_content = 0, len(image)
    for index in range(count):
        virtual_size, address, raw_size, raw_at = struct.unpack_from("<IIII", image, table + index * 40 + 8)
        end_of_memory = max(end_of_memory, address + max(virtual_size, raw_size))
        if raw_size:
            first_content = min(first_content, raw_at)
    new = [section.split("=", 1) for section in arguments.sections]
    if table + (count + len(new)) * 40 > min(first_content, headers_size):
        raise SystemExit("the stub's header has no room for more sections")
    image.extend(bytes(aligned(len(image), file_alignment) - len(image)))
    for index, (name, path) in enumerate(new):
        content = open(path, "rb").read()
        address = aligned(end_of_memory, section_alignment)
        raw_size = aligned(len(content), file_alignment)
        header = name.encode().ljust(8, b"\0") + struct.pack(
            "<IIIIIIHHI", len(content), address, raw_size, len(image), 0, 0, 0, 0, CONTENT
        )
        at = table + (count + index) * 40
        image[at : at + 40] = header
        image.extend(content.ljust(raw_size, b"\0"))
        end_of_memory = address + len(content)
    struct.pack_into("<H", image, pe + 6, count + len(new))
    struct.pack_into("<I", image, pe + 8, 0)  # time stamp
    struct.pack_into("<I", image, optional + 56, aligned(end_of_memory, section_alignment))  # SizeOfImage
    struct.pack_into("<I", image, optional + 64, 0)  # checksum
    open(arguments.out, "wb").write(image)


if __name__ == "__main__":
    main()
