// SPDX-License-Identifier: GPL-2.0
/*
 * What an interrupt sees: reading /sys/module/witness/parameters/msrs makes one on CPU 1,
 * which reads the MSRs that plex86.ko changes while a guest runs there, as KVM's first VM
 * does.  For tests/kmod/msrs.c.
 */
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/smp.h>
#include <asm/msr.h>

static const u32 number[] = { MSR_EFER, MSR_IA32_SYSENTER_CS, MSR_TSC_AUX };

#define NUMBERS	(sizeof(number) / sizeof(number[0]))

struct seen { u32 low[NUMBERS], high[NUMBERS]; };

static void look(void *arg)
{
	struct seen *s = arg;
	unsigned int i;

	/* One that this CPU has not got stays 0. */
	for (i = 0; i < NUMBERS; i++)
		rdmsr_safe(number[i], &s->low[i], &s->high[i]);
}

static int get_msrs(char *to, const struct kernel_param *kp)
{
	struct seen s = { };
	unsigned int i;
	int n = 0, err = smp_call_function_single(1, look, &s, true);

	if (err)
		return err;
	for (i = 0; i < NUMBERS; i++)
		n += scnprintf(to + n, PAGE_SIZE - n, "%x:%08x%08x ", number[i], s.high[i], s.low[i]);
	return n;
}

static const struct kernel_param_ops ops = { .get = get_msrs };
module_param_cb(msrs, &ops, NULL, 0400);

MODULE_DESCRIPTION("What an interrupt sees (a test of plex86)");
MODULE_LICENSE("GPL");
