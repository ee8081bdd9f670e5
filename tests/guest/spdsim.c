// An SMBus adapter with up to eight DDR4 modules (EE1004: two pages of 256 bytes behind the page addresses 0x36 and 0x37, JEDEC
// 21-C 4.1.6). The kernel's own i2c-stub has no pages. For tests only; images come as firmware files: spd=a.bin,b.bin
#include <linux/firmware.h>
#include <linux/i2c.h>
#include <linux/module.h>
#include <linux/platform_device.h>

#define MODULES 8
#define FIRST_ADDRESS 0x50
#define SET_PAGE_0 0x36
#define SET_PAGE_1 0x37

static char *spd[MODULES];
static int spd_count;
module_param_array(spd, charp, &spd_count, 0444);

static u8 image[MODULES][512];
static bool present[MODULES];
static u8 pointer[MODULES];
static int page;
static struct platform_device *parent;

static u8 byte_at(int module, u8 offset)
{
	return image[module][page * 256 + offset];
}

static s32 select_page(u16 address, char read_write, int size, union i2c_smbus_data *data)
{
	/* A read of a page address is acknowledged by the page that is selected. */
	if (size == I2C_SMBUS_BYTE && read_write == I2C_SMBUS_READ) {
		if (address != SET_PAGE_0 || page != 0)
			return -ENXIO;
		data->byte = 0;
		return 0;
	}
	page = address - SET_PAGE_0;
	return 0;
}

static s32 transfer(struct i2c_adapter *adapter, u16 address, unsigned short flags, char read_write, u8 command, int size,
		    union i2c_smbus_data *data)
{
	int module = address - FIRST_ADDRESS, index;

	if (address == SET_PAGE_0 || address == SET_PAGE_1)
		return select_page(address, read_write, size, data);
	if (module < 0 || module >= MODULES || !present[module])
		return -ENXIO;
	if (read_write == I2C_SMBUS_WRITE && size != I2C_SMBUS_BYTE && size != I2C_SMBUS_QUICK)
		return -EIO;
	switch (size) {
	case I2C_SMBUS_QUICK:
		return 0;
	case I2C_SMBUS_BYTE:
		if (read_write == I2C_SMBUS_WRITE)
			pointer[module] = command;
		else
			data->byte = byte_at(module, pointer[module]++);
		return 0;
	case I2C_SMBUS_BYTE_DATA:
		data->byte = byte_at(module, command);
		pointer[module] = command + 1;
		return 0;
	case I2C_SMBUS_WORD_DATA:
		data->word = byte_at(module, command) | byte_at(module, command + 1) << 8;
		return 0;
	case I2C_SMBUS_I2C_BLOCK_DATA:
		data->block[0] = min_t(u8, data->block[0], I2C_SMBUS_BLOCK_MAX);
		for (index = 0; index < data->block[0]; index++)
			data->block[1 + index] = byte_at(module, command + index);
		return 0;
	}
	return -EOPNOTSUPP;
}

static u32 functionality(struct i2c_adapter *adapter)
{
	return I2C_FUNC_SMBUS_QUICK | I2C_FUNC_SMBUS_BYTE | I2C_FUNC_SMBUS_BYTE_DATA | I2C_FUNC_SMBUS_WORD_DATA |
	       I2C_FUNC_SMBUS_READ_I2C_BLOCK;
}

static const struct i2c_algorithm algorithm = {.smbus_xfer = transfer, .functionality = functionality};
static struct i2c_adapter adapter = {.owner = THIS_MODULE, .algo = &algorithm, .name = "SMBus SPD simulator"};

static int __init spdsim_init(void)
{
	const struct firmware *file;
	int index;

	parent = platform_device_register_simple("spdsim", -1, NULL, 0);
	if (IS_ERR(parent))
		return PTR_ERR(parent);
	for (index = 0; index < spd_count; index++) {
		if (request_firmware_direct(&file, spd[index], &parent->dev)) {
			pr_err("spdsim: no %s\n", spd[index]);
			continue;
		}
		memcpy(image[index], file->data, min_t(size_t, sizeof(image[index]), file->size));
		present[index] = true;
		release_firmware(file);
	}
	adapter.dev.parent = &parent->dev;
	return i2c_add_adapter(&adapter);
}

static void __exit spdsim_exit(void)
{
	i2c_del_adapter(&adapter);
	platform_device_unregister(parent);
}

module_init(spdsim_init);
module_exit(spdsim_exit);
MODULE_DESCRIPTION("Simulated DDR4 modules on an SMBus, for tests");
MODULE_LICENSE("GPL");
