// A PCI root bus in a domain of its own whose functions are config spaces of 4096 bytes. For tests only; they come as firmware
// files: config=a.bin,b.bin
#include <linux/firmware.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/platform_device.h>

#define FUNCTIONS 16
#define CONFIG_BYTES 4096
#define DOMAIN 0x9999

static char *config[FUNCTIONS];
static int config_count;
module_param_array(config, charp, &config_count, 0444);

static u8 *space[FUNCTIONS];
static struct platform_device *parent;
static struct pci_bus *root;
static struct pci_sysdata sysdata = {.domain = DOMAIN, .node = NUMA_NO_NODE};
static struct resource bus_numbers = {.name = "fakepci", .flags = IORESOURCE_BUS};

static u8 *place(unsigned int devfn, int where, int size)
{
	int slot = PCI_SLOT(devfn);

	if (PCI_FUNC(devfn) || slot >= FUNCTIONS || !space[slot] || where + size > CONFIG_BYTES)
		return NULL;
	return space[slot] + where;
}

static int config_read(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *value)
{
	u8 *from = place(devfn, where, size);

	*value = ~0u;
	if (!from)
		return PCIBIOS_DEVICE_NOT_FOUND;
	*value = 0;
	memcpy(value, from, size);
	return PCIBIOS_SUCCESSFUL;
}

static int config_write(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 value)
{
	u8 *to = place(devfn, where, size);

	if (!to)
		return PCIBIOS_DEVICE_NOT_FOUND;
	/* Only the command register holds what is written; a base address that stays zero is one that is not there. */
	if (where == PCI_COMMAND)
		memcpy(to, &value, size);
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops operations = {.read = config_read, .write = config_write};

static int __init fakepci_init(void)
{
	const struct firmware *file;
	LIST_HEAD(resources);
	int index;

	parent = platform_device_register_simple("fakepci", -1, NULL, 0);
	if (IS_ERR(parent))
		return PTR_ERR(parent);
	for (index = 0; index < config_count; index++) {
		if (request_firmware_direct(&file, config[index], &parent->dev)) {
			pr_err("fakepci: no %s\n", config[index]);
			continue;
		}
		space[index] = kzalloc(CONFIG_BYTES, GFP_KERNEL);
		if (space[index])
			memcpy(space[index], file->data, min_t(size_t, CONFIG_BYTES, file->size));
		release_firmware(file);
	}
	pci_add_resource(&resources, &bus_numbers);
	root = pci_scan_root_bus(&parent->dev, 0, &operations, &sysdata, &resources);
	if (!root)
		return -ENODEV;
	pci_bus_add_devices(root);
	return 0;
}

static void __exit fakepci_exit(void)
{
	int index;

	pci_lock_rescan_remove();
	pci_stop_root_bus(root);
	pci_remove_root_bus(root);
	pci_unlock_rescan_remove();
	for (index = 0; index < FUNCTIONS; index++)
		kfree(space[index]);
	platform_device_unregister(parent);
}

module_init(fakepci_init);
module_exit(fakepci_exit);
MODULE_DESCRIPTION("A simulated PCI bus, for tests");
MODULE_LICENSE("GPL");
