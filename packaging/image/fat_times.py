#!/usr/bin/env python3
"""fat_times.py IMAGE SECONDS: sets the times of every folder entry in a FAT file system, so that the same content gives the same
bytes: mtools stamps the folders that it makes with the time of day. Structure: Microsoft FAT specification 1.03, section 6."""
import struct
import sys
import time


def main():
    path, seconds = sys.argv[1], int(sys.argv[2])
    image = bytearray(open(path, "rb").read())
    sector, per_cluster, reserved, fats, root_entries = struct.unpack_from("<HBHBH", image, 11)
    total = struct.unpack_from("<H", image, 19)[0] or struct.unpack_from("<I", image, 32)[0]
    fat_sectors = struct.unpack_from("<H", image, 22)[0] or struct.unpack_from("<I", image, 36)[0]
    root_at = (reserved + fats * fat_sectors) * sector
    root_sectors = (root_entries * 32 + sector - 1) // sector
    data_at = root_at + root_sectors * sector
    clusters = (total - data_at // sector) // per_cluster
    bits = 12 if clusters < 4085 else 16 if clusters < 65525 else 32
    cluster_bytes = per_cluster * sector
    when = time.gmtime(seconds)
    day = (when.tm_year - 1980) << 9 | when.tm_mon << 5 | when.tm_mday
    clock = when.tm_hour << 11 | when.tm_min << 5 | when.tm_sec // 2

    def following(cluster):
        fat = reserved * sector
        if bits == 12:
            value = struct.unpack_from("<H", image, fat + cluster * 3 // 2)[0]
            value = value >> 4 if cluster & 1 else value & 0xFFF
            return None if value >= 0xFF8 else value
        if bits == 16:
            value = struct.unpack_from("<H", image, fat + cluster * 2)[0]
            return None if value >= 0xFFF8 else value
        value = struct.unpack_from("<I", image, fat + cluster * 4)[0] & 0x0FFFFFFF
        return None if value >= 0x0FFFFFF8 else value

    def chain(cluster):
        seen = set()
        while cluster and cluster not in seen:
            seen.add(cluster)
            at = data_at + (cluster - 2) * cluster_bytes
            yield at, cluster_bytes
            cluster = following(cluster)

    def folder(areas):
        for at, size in areas:
            for entry in range(at, at + size, 32):
                if image[entry] == 0:
                    return
                attributes = image[entry + 11]
                if image[entry] == 0xE5 or attributes == 0x0F:
                    continue
                image[entry + 13] = 0
                struct.pack_into("<HHH", image, entry + 14, clock, day, day)
                struct.pack_into("<HH", image, entry + 22, clock, day)
                high, low = struct.unpack_from("<H", image, entry + 20)[0], struct.unpack_from("<H", image, entry + 26)[0]
                if attributes & 0x10 and image[entry] != ord("."):
                    folder(chain(high << 16 | low))

    if bits == 32:
        folder(chain(struct.unpack_from("<I", image, 44)[0]))
    else:
        folder([(root_at, root_sectors * sector)])
    open(path, "wb").write(image)


if __name__ == "__main__":
    main()
