/* SPDX-License-Identifier: LGPL-2.1-or-later */
//
// Integer and segment state out of and into BX_CPU_C (I1).
//
#include "glue.h"
#include "gui/siminterface.h"
#include "param_names.h"

#define LOG_THIS genlog->

// Flags that user code can change with IOPL below 3 (SDM vol. 2, POPF).
static const Bit32u user_flags = EFlagsOSZAPCMask | EFlagsDFMask | EFlagsTFMask | EFlagsNTMask |
                                 EFlagsACMask | EFlagsIDMask;

static void export_seg(struct plex86_seg *to, const bx_segment_reg_t *from)
{
  const bx_descriptor_t *d = &from->cache;

  to->sel = from->selector.value;
  to->base = d->u.segment.base;
  to->limit = d->u.segment.limit_scaled;
  to->attr = (d->type & 0xf) | (d->segment << 4) | ((d->dpl & 3) << 5) | (d->p << 7) |
             (d->u.segment.avl << 12) | (d->u.segment.l << 13) | (d->u.segment.d_b << 14) |
             (d->u.segment.g << 15);
  if (! (d->valid & SegValidCache)) to->attr |= PLEX86_SEG_NULL;
}

static void import_seg(bx_segment_reg_t *to, const struct plex86_seg *from)
{
  bx_descriptor_t *d = &to->cache;

  parse_selector(from->sel, &to->selector);
  d->valid = from->attr & PLEX86_SEG_NULL ? 0 : SegValidCache;
  d->p = (from->attr >> 7) & 1;
  d->dpl = (from->attr >> 5) & 3;
  d->segment = (from->attr >> 4) & 1;
  d->type = from->attr & 0xf;
  d->u.segment.base = from->base;
  d->u.segment.limit_scaled = from->limit;
  d->u.segment.avl = (from->attr >> 12) & 1;
  d->u.segment.l = (from->attr >> 13) & 1;
  d->u.segment.d_b = (from->attr >> 14) & 1;
  d->u.segment.g = (from->attr >> 15) & 1;
}

void plex86_export_cpu(struct plex86_cpu *to)
{
  BX_CPU_C *cpu = BX_CPU(0);

  for (unsigned n = 0; n < PLEX86_NGPR; n++) to->gpr[n] = cpu->gen_reg[n].rrx;
  to->rip = cpu->gen_reg[BX_64BIT_REG_RIP].rrx;
  // RF only holds back instruction breakpoints, and there are none; Bochs leaves
  // it set between two iterations of a string instruction.
  to->rflags = cpu->read_eflags() & ~EFlagsRFMask;
  for (unsigned n = 0; n < PLEX86_NSEG; n++) export_seg(&to->seg[n], &cpu->sregs[n]);
  to->cr0 = cpu->cr0.get32();
  to->cr4 = cpu->cr4.get32();
  to->efer = cpu->efer.get32();
  to->xcr0 = cpu->cr4.get_OSXSAVE() ? cpu->xcr0.get32() : PLEX86_X_X87 | PLEX86_X_SSE;
  for (unsigned n = 0; n < 4; n++) to->dr[n] = cpu->dr[n];
  to->dr6 = cpu->dr6.get32();
  to->dr7 = cpu->dr7.get32();
  if (cpu->long64_mode()) to->mode = PLEX86_MODE_64;
  else to->mode = cpu->long_mode() ? PLEX86_MODE_COMPAT : PLEX86_MODE_32;
  to->reserved = 0;
}

void plex86_export_env(struct plex86_env *env)
{
  BX_CPU_C *cpu = BX_CPU(0);

  env->a20_off = ! bx_pc_system.get_enable_a20();
  env->smm = cpu->smm_mode();
  env->nested = false;
#if BX_SUPPORT_VMX
  if (cpu->in_vmx_guest) env->nested = true;
#endif
#if BX_SUPPORT_SVM
  if (cpu->in_svm_guest) env->nested = true;
#endif
#if BX_SUPPORT_MONITOR_MWAIT
  // Nobody waits for what MONITOR armed where MWAIT is a NOP (mwait.cc): nothing resets it.
  static bool mwait_is_nop = SIM->get_param_bool(BXPN_MWAIT_IS_NOP)->get();
  env->monitor = cpu->monitor.armed() &&
                 !(mwait_is_nop && cpu->monitor.armed_by_monitor());
#else
  env->monitor = false;
#endif
#if BX_SUPPORT_CET
  env->user_cet = cpu->msr.ia32_cet_control[1] != 0;
#else
  env->user_cet = false;
#endif
#if BX_SUPPORT_PKEYS
  env->key_0_denied = (cpu->pkru & 3) != 0;
#else
  env->key_0_denied = false;
#endif
#if BX_SUPPORT_X86_64
  env->tsc_aux = cpu->msr.tsc_aux;
#else
  env->tsc_aux = 0;
#endif
  env->inhibited = cpu->interrupts_inhibited(BX_INHIBIT_INTERRUPTS) ||
                   cpu->interrupts_inhibited(BX_INHIBIT_DEBUG) || cpu->debug_trap != 0;
}

void plex86_export_tables(struct plex86_tables *tables)
{
  const BX_CPU_C *cpu = BX_CPU(0);

  tables->gdt.base = cpu->gdtr.base;
  tables->gdt.bytes = (Bit32u) cpu->gdtr.limit + 1;
  tables->ldt.base = tables->ldt.bytes = 0;
  if (cpu->ldtr.cache.valid) {
    tables->ldt.base = cpu->ldtr.cache.u.segment.base;
    tables->ldt.bytes = cpu->ldtr.cache.u.segment.limit_scaled;
    if (tables->ldt.bytes != 0xffffffff) tables->ldt.bytes++;
  }
}

// CR3 as the name of a process: less the PCID, which Linux gives anew from one of its turns to the
// next, and which says nothing about memory, as Bochs's TLB has none.
Bit64u plex86_page_root(void)
{
  const BX_CPU_C *cpu = BX_CPU(0);

  return cpu->cr4.get_PCIDE() ? cpu->cr3 & ~BX_CONST64(0xfff) : cpu->cr3;
}

// Native code has loaded a segment register. What its descriptor holds is the
// guest's business, so look it up in the guest's tables; nothing faults here.
static bool guest_descriptor(Bit16u selector, struct plex86_seg *seg)
{
  BX_CPU_C *cpu = BX_CPU(0);
  bx_address base = cpu->gdtr.base;
  Bit32u limit = cpu->gdtr.limit, raw[2];
  bx_phy_address paddr;

  if (selector & 4) {
    if (! cpu->ldtr.cache.valid) return false;
    base = cpu->ldtr.cache.u.segment.base;
    limit = cpu->ldtr.cache.u.segment.limit_scaled;
  }
  Bit32u offset = selector & 0xfff8;
  if (offset + 7 > limit) return false;
  for (unsigned n = 0; n < 2; n++) {
    bx_address laddr = base + offset + 4*n;
    if (! cpu->dbg_xlate_linear2phy(laddr, &paddr)) return false;
    Bit8u *host = BX_MEM(0)->getHostMemAddr(cpu, paddr, BX_READ);
    if (! host) return false;
    raw[n] = ReadHostDWordFromLittleEndian((Bit32u *) host);
  }
  seg->sel = selector;
  seg->base = ((raw[0] >> 16) & 0xffff) | ((raw[1] & 0xff) << 16) | (raw[1] & 0xff000000);
  seg->limit = (raw[0] & 0xffff) | (raw[1] & 0xf0000);
  seg->attr = ((raw[1] >> 8) & 0xff) | ((raw[1] >> 8) & 0xf000);
  if (seg->attr & PLEX86_SEG_G) seg->limit = (seg->limit << 12) | 0xfff;
  return (seg->attr & (PLEX86_SEG_S | PLEX86_SEG_P)) == (PLEX86_SEG_S | PLEX86_SEG_P) &&
         ((seg->attr >> PLEX86_SEG_DPL_SHIFT) & 3) == 3;
}

static void import_changed_seg(unsigned n, const struct plex86_seg *was,
                               const struct plex86_seg *now)
{
  BX_CPU_C *cpu = BX_CPU(0);
  struct plex86_seg seg = *now;

  if (now->sel == was->sel && now->attr == was->attr && now->limit == was->limit) {
    cpu->sregs[n].cache.u.segment.base = now->base; // WRFSBASE, WRGSBASE
    return;
  }
  if ((now->sel & 0xfffc) && ! guest_descriptor(now->sel, &seg)) {
    BX_ERROR(("plex86: user code loaded selector %04x natively, which the guest's tables do not "
              "allow; see docs/limits.md", now->sel));
    if (n != BX_SEG_REG_CS) seg.attr |= PLEX86_SEG_NULL; // any use of it faults
  }
  if (now->attr & PLEX86_SEG_BASE) seg.base = now->base; // WRFSBASE, WRGSBASE after the load
  import_seg(&cpu->sregs[n], &seg);
  if (n == BX_SEG_REG_CS) {
    cpu->handleCpuModeChange();
    cpu->updateFetchModeMask();
    cpu->invalidate_prefetch_q();
  }
  else if (n == BX_SEG_REG_SS) {
    cpu->invalidate_stack_cache();
  }
}

void plex86_import_cpu(const struct plex86_cpu *was, const struct plex86_cpu *now)
{
  BX_CPU_C *cpu = BX_CPU(0);

  // before CS, which may take the upper half of RSP with it
  for (unsigned n = 0; n < PLEX86_NGPR; n++) cpu->gen_reg[n].rrx = now->gpr[n];
  for (unsigned n = 0; n < PLEX86_NSEG; n++) {
    const struct plex86_seg *a = &was->seg[n], *b = &now->seg[n];
    if (a->sel != b->sel || a->attr != b->attr || a->limit != b->limit || a->base != b->base)
      import_changed_seg(n, a, b);
  }
  cpu->gen_reg[BX_64BIT_REG_RIP].rrx = now->rip;
  cpu->setEFlags((((Bit32u) was->rflags & ~user_flags) |
                  ((Bit32u) now->rflags & user_flags)) & ~EFlagsRFMask);
}
