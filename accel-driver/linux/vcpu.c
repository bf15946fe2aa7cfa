// SPDX-License-Identifier: GPL-2.0
/*
 * The vCPU: enters a space, gives every host event to the host, and reports the
 * first event that is the guest's.  It decides nothing: which state is worth or
 * safe to run is user space's business; that no state can hurt the host is
 * ensured by what descriptors and page tables can hold, by the CPU's own checks
 * on the way in, and by the few checks in state.c.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/kvm_para.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <asm/trapnr.h>
#include "compat.h"
#include "plex86.h"

/*
 * A stay in the ioctl is never longer, whatever the caller allows, so that work
 * that waits for the return to user mode (rseq, task work, livepatching) is done.
 */
#define BUDGET_MAX	NSEC_PER_SEC

static enum hrtimer_restart timer_fires(struct hrtimer *timer)
{
	/* It is the interrupt that matters: the loop looks at the clock. */
	container_of(timer, struct plex86_vcpu, timer)->timer_armed = false;
	return HRTIMER_NORESTART;
}

/*
 * Have a timer that ends this slice.  One that is armed for earlier, from a
 * slice that ended by a trap, does as well: it fires once for nothing, which is
 * far cheaper than to set and cancel one in each slice.
 */
static void arm_timer(struct plex86_vcpu *v, u64 now, u64 deadline)
{
	int cpu = smp_processor_id();

	if (v->timer_armed && v->timer_cpu == cpu && v->timer_expiry <= deadline)
		return;
	v->timer_armed = true;
	v->timer_cpu = cpu;
	v->timer_expiry = deadline;
	hrtimer_start(&v->timer, ns_to_ktime(deadline - now), HRTIMER_MODE_REL_PINNED_HARD);
}

/* Why not to go (on) into the guest now; 0 if nothing speaks against it. */
static u32 reason_to_stop(struct plex86_vcpu *v)
{
	if (READ_ONCE(v->kicked)) {
		WRITE_ONCE(v->kicked, 0);
		return PLEX86_RUN_KICK;
	}
	if (signal_pending(current))
		return PLEX86_RUN_KICK;
	return 0;
}

/*
 * Under KVM, "this page is not here yet, run something else" is a #PF that is
 * only sent while in ring 3.  The token must be taken and waited for; taken
 * before an NMI is served, whose handler might fault and find it.
 */
static bool host_page_pending(struct nexus *nx, u32 *token)
{
	if (nx->abort || nx->frame.vector != X86_TRAP_PF)
		return false;
	*token = nx->cr2;
	return kvm_read_and_reset_apf_flags() & KVM_PV_REASON_PAGE_NOT_PRESENT;
}

/* The guest goes on later: its frame may be overwritten by a refused IRETQ. */
static void keep(struct plex86_vcpu *v)
{
	v->loop.saved = v->nx->frame;
	v->loop.ran = true;
}

/* The guest's own event: fill in the result. */
static void report(struct plex86_vcpu *v)
{
	struct plex86_loop *l = &v->loop;
	struct plex86_run *run = &l->run;
	struct nexus *nx = v->nx;

	if (nx->abort == NX_ABORT_FAULT && nx->abort_rip >= (unsigned long)nexus_committed) {
		/* Behind guest code, with registers of its own half saved: PEBS, say. */
		run->reason = PLEX86_RUN_BROKEN;
		run->vector = nx->abort_vector;
		run->error_code = nx->abort_error;
		run->addr = nx->abort_rip - (unsigned long)nexus_text;
		return;
	}
	if (nx->abort == NX_ABORT_FAULT) {
		/*
		 * The CPU refused to load the state.  Had code run before, it
		 * brought itself there (RIP ran off the canonical range): then
		 * that is its trap, and .saved is the state at it.
		 */
		run->reason = l->ran ? PLEX86_RUN_TRAP : PLEX86_RUN_REFUSED;
		run->why = l->ran ? 0 : PLEX86_WHY_LOAD;
		run->vector = nx->abort_vector;
		run->error_code = nx->abort_error;
		run->addr = nx->abort_rip - (unsigned long)nexus_text;
		return;
	}
	run->vector = nx->frame.vector;
	run->error_code = nx->frame.error_code;
	run->reason = PLEX86_RUN_TRAP;
	if (run->vector == X86_TRAP_PF) {
		run->reason = PLEX86_RUN_PAGE;
		run->addr = nx->cr2;
	} else if (run->vector == X86_TRAP_DB) {
		run->addr = l->entry.dr6;
	}
}

/*
 * A stay on one CPU, interrupts off except when the host takes them.  Returns
 * true when the result is in l->run, false to come again after a reschedule.
 * Not inlined: what runs at each exit is then in one page of text.
 */
static noinline bool stay(struct plex86_vcpu *v)
{
	struct plex86_loop *l = &v->loop;
	struct nexus *nx = v->nx;
	u64 now = l->now;
	bool done = true;
	bool wait = false;
	u32 token;

	preempt_disable();
	local_irq_disable();
	WRITE_ONCE(v->running_on, smp_processor_id());
	smp_mb();	/* before the look at v->kicked; pairs with kick() */
	plex86_switch_begin(v, l->s);
	for (;;) {
		l->run.reason = reason_to_stop(v);
		if (l->run.reason)
			break;
		if (need_resched()) {
			done = false;
			break;
		}
		if (l->ran)
			now = local_clock();
		if (now >= l->deadline) {
			l->run.reason = PLEX86_RUN_DEADLINE;
			break;
		}
		arm_timer(v, now, l->deadline);
again:
		plex86_state_choose_stack(v);
		plex86_switch(v, l->s, &l->entry);
		wait = host_page_pending(nx, &token);
		if (plex86_switch_serve_host(v)) {
			if (!nx->abort)
				keep(v);
			continue;
		}
		if (wait) {
			keep(v);
			done = false;
			break;
		}
		if (--l->left && nx->abort != NX_ABORT_FAULT) {
			plex86_state_import(v);
			goto again;
		}
		report(v);
		break;
	}
	plex86_switch_end(v);
	WRITE_ONCE(v->running_on, -1);
	local_irq_enable();
	preempt_enable();
	if (wait) {
		local_irq_disable();
		kvm_async_pf_task_wait_schedule(token);
		local_irq_enable();
	}
	return done;
}

static void loop(struct plex86_vcpu *v)
{
	struct plex86_loop *l = &v->loop;
	struct plex86_run *run = &l->run;
	u64 tsc = run->repeat ? rdtsc_ordered() : 0;
	u64 now;

	l->start = l->now = local_clock();
	l->deadline = l->start + min_t(u64, run->budget_ns, BUDGET_MAX);
	l->left = max(run->repeat, 1u);
	l->ran = false;
	v->nx->abort = 0;
	plex86_state_import(v);
	while (!stay(v)) {
		cond_resched();
		l->now = local_clock();
	}
	if (run->reason == PLEX86_RUN_BROKEN)
		pr_err_ratelimited("fault %u at nexus+%#llx, on the way out of guest code: its registers are lost\n",
				   run->vector, run->addr);
	else if (run->reason != PLEX86_RUN_REFUSED)
		plex86_state_export(v, v->nx->abort == NX_ABORT_FAULT ? &l->saved : &v->nx->frame);
	now = local_clock();
	run->ran_ns = now > l->start ? now - l->start : 0;	/* CPUs' clocks differ a little */
	run->cycles = run->repeat ? rdtsc_ordered() - tsc : 0;
}

/* The fields of the run structure, word by word: no call, no string move. */
static long get_run(struct plex86_run *run, struct plex86_run __user *arg)
{
	const u64 __user *from = (const u64 __user *)arg;
	u64 *to = (u64 *)run;
	int i;

	if (!user_access_begin(arg, sizeof(*arg)))
		return -EFAULT;
	for (i = 0; i < sizeof(*run) / sizeof(u64); i++)
		unsafe_get_user(to[i], from + i, fault);
	user_access_end();
	return 0;
fault:
	user_access_end();
	return -EFAULT;
}

#define PUT(field) unsafe_put_user(run->field, &arg->field, fault)

static long put_run(struct plex86_run *run, struct plex86_run __user *arg)
{
	int i;

	if (!user_access_begin(arg, sizeof(*arg)))
		return -EFAULT;
	for (i = 0; i < PLEX86_NGPR; i++)
		PUT(cpu.gpr[i]);
	PUT(cpu.rip);
	PUT(cpu.rflags);
	for (i = 0; i < PLEX86_NSEG; i++)
		PUT(cpu.seg[i].sel);
	PUT(cpu.seg[PLEX86_FS].base);
	PUT(cpu.seg[PLEX86_GS].base);
	PUT(reason);
	PUT(why);
	PUT(vector);
	PUT(error_code);
	PUT(addr);
	PUT(ran_ns);
	PUT(cycles);
	PUT(host_irqs);
	PUT(host_nmis);
	user_access_end();
	return 0;
fault:
	user_access_end();
	return -EFAULT;
}

static long run_in(struct plex86_vcpu *v, struct plex86_space *s)
{
	struct plex86_run *run = &v->loop.run;

	if (s->vm != v->vm)
		return -EBADF;
	if (plex86_task_has_stale())
		return -EOPNOTSUPP;
	if (!mutex_trylock(&s->lock))
		return -EBUSY;
	v->loop.s = s;
	run->why = plex86_state_refused(&run->cpu);
	if (run->why)
		run->reason = PLEX86_RUN_REFUSED;
	else
		loop(v);
	mutex_unlock(&s->lock);
	return 0;
}

static long vcpu_run(struct plex86_vcpu *v, struct plex86_run __user *arg)
{
	struct plex86_run *run = &v->loop.run;
	struct file *file;
	long ret = get_run(run, arg);

	if (ret)
		return ret;
	if (run->size != sizeof(*run))
		return run->size < sizeof(*run) ? -EINVAL : -E2BIG;
	if (run->flags || run->cpu.reserved)
		return -EINVAL;
	run->reason = 0;
	run->vector = 0;
	run->error_code = 0;
	run->addr = 0;
	run->ran_ns = 0;
	run->cycles = 0;
	run->host_irqs = 0;
	run->host_nmis = 0;

	file = fget(run->space);
	if (!file)
		return -EBADF;
	ret = -EBADF;
	if (file->f_op == &plex86_space_fops)
		ret = run_in(v, file->private_data);
	fput(file);
	return ret ?: put_run(run, arg);
}

static void nothing(void *unused)
{
}

/* End the run in progress, or the next one.  From any thread or handler. */
static void kick(struct plex86_vcpu *v)
{
	int cpu;

	WRITE_ONCE(v->kicked, 1);
	smp_mb();	/* before the look at running_on; pairs with stay() */
	cpu = READ_ONCE(v->running_on);
	if (cpu >= 0)
		smp_call_function_single(cpu, nothing, NULL, 0);
}

static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct plex86_vcpu *v = file->private_data;
	long ret;

	if (current->mm != v->mm)
		return -EIO;
	switch (cmd) {
	case PLEX86_VCPU_RUN:
		if (!mutex_trylock(&v->lock))
			return -EBUSY;
		ret = vcpu_run(v, (struct plex86_run __user *)arg);
		mutex_unlock(&v->lock);
		return ret;
	case PLEX86_VCPU_KICK:
		if (arg)
			return -EINVAL;
		kick(v);
		return 0;
	default:
		return -ENOTTY;
	}
}

static void vcpu_free(struct plex86_vcpu *v)
{
	struct plex86_vm *vm = v->vm;

	hrtimer_cancel(&v->timer);
	mutex_lock(&vm->lock);
	vm->nexus_used &= ~(1u << v->index);
	mutex_unlock(&vm->lock);
	plex86_vm_put(vm);
	kfree(v);
}

static int vcpu_release(struct inode *inode, struct file *file)
{
	vcpu_free(file->private_data);
	return 0;
}

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vcpu_ioctl,
	.release = vcpu_release,
};

long plex86_vcpu_create(struct plex86_vm *vm)
{
	struct plex86_vcpu *v;
	long ret = plex86_host_refuses_task();

	if (ret)
		return ret;
	v = kzalloc(sizeof(*v), GFP_KERNEL_ACCOUNT);
	if (!v)
		return -ENOMEM;
	mutex_lock(&vm->lock);
	ret = -ENOSPC;
	v->index = ffz(vm->nexus_used);
	if (v->index < PLEX86_MAX_VCPUS) {
		v->nx = plex86_nexus_new(vm, v->index);
		ret = v->nx ? 0 : -ENOMEM;
	}
	if (!ret)
		vm->nexus_used |= 1u << v->index;
	mutex_unlock(&vm->lock);
	if (ret) {
		kfree(v);
		return ret;
	}
	v->vm = plex86_vm_get(vm);
	v->mm = vm->mm;
	v->vm_id = vm->id;
	mutex_init(&v->lock);
	plex86_timer_init(&v->timer, timer_fires);
	v->cpu = -1;
	v->running_on = -1;
	ret = anon_inode_getfd("plex86-vcpu", &vcpu_fops, v, O_RDWR | O_CLOEXEC);
	if (ret < 0)
		vcpu_free(v);
	return ret;
}
