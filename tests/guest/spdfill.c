// spdfill BUS ADDRESS FILE: fills a module of the kernel's i2c-stub with an SPD5118 image: eight pages of 128 bytes through the
// page register MR11, then the registers that the driver looks at (JESD300-5B, 5.4: device type, revision, vendor, capability).
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

static int bus;

static int access_register(int reg, int size, union i2c_smbus_data *data) {
  struct i2c_smbus_ioctl_data request = {I2C_SMBUS_WRITE, reg, size, data};
  return ioctl(bus, I2C_SMBUS, &request);
}

static int write_byte(int reg, int value) {
  union i2c_smbus_data data = {.byte = value};
  return access_register(reg, I2C_SMBUS_BYTE_DATA, &data);
}

static int write_word(int reg, int value) {
  union i2c_smbus_data data = {.word = value};
  return access_register(reg, I2C_SMBUS_WORD_DATA, &data);
}

int main(int count, char **arguments) {
  if (count != 4) return 2;
  bus = open(arguments[1], O_RDWR);
  if (bus < 0 || ioctl(bus, I2C_SLAVE_FORCE, strtol(arguments[2], 0, 0))) {
    perror(arguments[1]);
    return 1;
  }
  unsigned char image[1024];
  FILE *file = fopen(arguments[3], "rb");
  size_t length = file ? fread(image, 1, sizeof image, file) : 0;
  int failed = 0;
  if (length == 1024) {
    for (int page = 0; page < 8; page++) {
      failed |= write_byte(0x0b, page);
      for (int offset = 0; offset < 128; offset++) failed |= write_byte(0x80 + offset, image[page * 128 + offset]);
    }
    // The stub keeps a word for each register: this one is read as a word by the driver, and as two bytes without it.
    failed |= write_byte(0x0b, 0) | write_word(0x00, 0x1851) | write_byte(0x01, 0x18) | write_byte(0x02, 0x20);
    failed |= write_byte(0x03, 0x80) | write_byte(0x04, 0xb3) | write_byte(0x05, 0x03);
  } else {
    // A stub without pages: the second half of a DDR4 image never gets in, and reads as the first.
    for (size_t offset = 0; offset < length && offset < 256; offset++) failed |= write_byte(offset, image[offset]);
  }
  if (failed || length == 0) fprintf(stderr, "%s %s: not filled\n", arguments[1], arguments[2]);
  return failed || length == 0;
}
