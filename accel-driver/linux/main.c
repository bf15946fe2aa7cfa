// SPDX-License-Identifier: GPL-2.0
/*
 * plex86.ko: runs guest user code for an emulator.  The device node: what the
 * module can do here, and how to get a VM.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/miscdevice.h>
#include <linux/module.h>
#include "plex86.h"

static long get_info(struct plex86_info __user *arg)
{
	struct plex86_info info;
	long ret = plex86_get_struct(&info, arg);

	if (ret)
		return ret;
	if (info.flags)
		return -EINVAL;
	info = (struct plex86_info) {
		.size = sizeof(info),
		.caps = plex86_host.caps,
		.xcr0 = plex86_host.xcr0,
		.va_limit = PLEX86_VA_LIMIT,
		.max_gdt = NX_GDT_GUEST,
		.max_ldt = NX_LDT_SLOTS,
		.max_ops = PLEX86_MAX_OPS,
		.max_ranges = PLEX86_MAX_RANGES,
	};
	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}

static long device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case PLEX86_GET_INFO:
		return get_info((struct plex86_info __user *)arg);
	case PLEX86_VM_CREATE:
		return arg ? -EINVAL : plex86_vm_create();
	default:
		return -ENOTTY;
	}
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = device_ioctl,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "plex86",
	.fops = &device_fops,
	.mode = 0660,
};

static int __init plex86_init(void)
{
	int ret = plex86_host_init();

	if (ret)
		return ret;
	ret = misc_register(&device);
	if (ret) {
		plex86_host_exit();
		return ret;
	}
	pr_info("ready: %d-level tables, xcr0 %#llx%s%s%s%s\n",
		plex86_host.levels, plex86_host.xcr0,
		plex86_host.caps & PLEX86_HOST_PCID ? ", PCID" : "",
		plex86_host.caps & PLEX86_HOST_FSGSBASE ? ", FSGSBASE" : "",
		plex86_host.caps & PLEX86_HOST_UMIP ? ", UMIP" : "",
		plex86_host.caps & PLEX86_HOST_CPUID_FAULT ? ", CPUID faulting" : "");
	return 0;
}

static void __exit plex86_exit(void)
{
	misc_deregister(&device);
	plex86_host_exit();
}

module_init(plex86_init);
module_exit(plex86_exit);
MODULE_AUTHOR("The bochs-plex86 authors");
MODULE_DESCRIPTION("Runs guest user code natively for the Bochs emulator");
MODULE_LICENSE("GPL");
