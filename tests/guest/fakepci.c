// A PCI domain of its own whose functions are config spaces of 4096 bytes. For tests only; they come as firmware files:
// config=gpu-0.bin,gpu-1.bin port=port-0.bin,port-1.bin puts root ports on the root bus, and one device below each. A port's
// config space names the bus on its other side: 1 for the first.
#include <linux/firmware.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/platform_device.h>

#define FUNCTIONS 16
#define CONFIG_BYTES 4096
#define DOMAIN 0x9999

static char *config[FUNCTIONS], *port[FUNCTIONS];
static int config_count, port_count;
module_param_array(config, charp, &config_count, 0444);
module_param_array(port, charp, &port_count, 0444);

static u8 *devices[FUNCTIONS], *ports[FUNCTIONS];
static struct platform_device *parent;
static struct pci_bus *root;
static struct pci_sysdata sysdata = {.domain = DOMAIN, .node = NUMA_NO_NODE};
static struct resource bus_numbers = {.name = "fakepci", .end = FUNCTIONS, .flags = IORESOURCE_BUS};

static u8 *place(struct pci_bus *bus, unsigned int devfn, int where, int size)
{
	int slot = PCI_SLOT(devfn);
	u8 *space = NULL;

	if (PCI_FUNC(devfn) || where + size > CONFIG_BYTES)
		return NULL;
	if (bus->number == 0 && slot < FUNCTIONS)
		space = ports[slot];
	else if (bus->number >= 1 && bus->number <= FUNCTIONS && slot == 0)
		space = devices[bus->number - 1];
	return space ? space + where : NULL;
}

static int config_read(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *value)
{
	u8 *from = place(bus, devfn, where, size);

	*value = ~0u;
	if (!from)
		return PCIBIOS_DEVICE_NOT_FOUND;
	*value = 0;
	memcpy(value, from, size);
	return PCIBIOS_SUCCESSFUL;
}

static int config_write(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 value)
{
	u8 *to = place(bus, devfn, where, size);

	if (!to)
		return PCIBIOS_DEVICE_NOT_FOUND;
	/* Only the command register holds what is written; a base address that stays zero is one that is not there. */
	if (where == PCI_COMMAND)
		memcpy(to, &value, size);
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops operations = {.read = config_read, .write = config_write};

static void load(char **names, int count, u8 **spaces)
{
	const struct firmware *file;
	int index;

	for (index = 0; index < count; index++) {
		if (request_firmware_direct(&file, names[index], &parent->dev)) {
			pr_err("fakepci: no %s\n", names[index]);
			continue;
		}
		spaces[index] = kzalloc(CONFIG_BYTES, GFP_KERNEL);
		if (spaces[index])
			memcpy(spaces[index], file->data, min_t(size_t, CONFIG_BYTES, file->size));
		release_firmware(file);
	}
}

static int __init fakepci_init(void)
{
	LIST_HEAD(resources);

	parent = platform_device_register_simple("fakepci", -1, NULL, 0);
	if (IS_ERR(parent))
		return PTR_ERR(parent);
	load(port, port_count, ports);
	load(config, config_count, devices);
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
	for (index = 0; index < FUNCTIONS; index++) {
		kfree(devices[index]);
		kfree(ports[index]);
	}
	platform_device_unregister(parent);
}

module_init(fakepci_init);
module_exit(fakepci_exit);
MODULE_DESCRIPTION("A simulated PCI bus, for tests");
MODULE_LICENSE("GPL");
