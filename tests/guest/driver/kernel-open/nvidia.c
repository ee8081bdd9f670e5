// Stands for NVIDIA's kernel module: for tests only. It needs a module of the kernel that the boot image does not have, so that
// the pack has to bring it, and announces the device number that the pack's "load" looks for.
#include <linux/crc7.h>
#include <linux/fs.h>
#include <linux/module.h>

static const struct file_operations none = {.owner = THIS_MODULE};
static int major;

static int __init begin(void)
{
	static const u8 text[] = "nvidia";

	major = register_chrdev(0, "nvidia", &none);
	if (major < 0)
		return major;
	pr_info("NVRM: the test driver is loaded (%02x)\n", crc7_be(0, text, sizeof(text)));
	return 0;
}

static void __exit end(void)
{
	unregister_chrdev(major, "nvidia");
}

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("Test driver");
MODULE_LICENSE("Dual MIT/GPL");
MODULE_VERSION(TEST_DRIVER_VERSION);
