/* SPDX-License-Identifier: LGPL-2.1-or-later */
//
// What Bochs calls: the operations behind bx_cpu_accel, and what the core asks
// of Bochs in turn.
//
#include <string.h>

#include "glue.h"

#define LOG_THIS genlog->

static struct plex86_core *core;
static int timer = -1;
static bool (*enabled)(void);

// The vector state that the last slice left, to see whether Bochs has changed it.
static struct plex86_vec vec BX_CPP_AlignN(64), vec_left BX_CPP_AlignN(64);
static bool vec_valid;

static void look_now(void)
{
  bx_cpu_accel_request();
}

static void look_after(Bit64u ticks)
{
  bx_pc_system.activate_timer_ticks(timer, ticks, 0);
}

void plex86_hooks_timer(void *)
{
  if (core && BX_CPU(0)->user_pl) look_now();
}

static void user_mode(bool user)
{
  if (! core) return;
  if (! user) {
    plex86_core_kernel_mode(core, BX_CPU(0)->icount);
    return;
  }
  Bit64u after = plex86_core_user_mode(core, BX_CPU(0)->cr3, BX_CPU(0)->icount);
  if (after == 0) {
    bx_pc_system.deactivate_timer(timer);
    look_now();
  }
  else look_after(after);
}

static bx_accel_verdict_t run(Bit32u *ticks)
{
  static struct plex86_cpu was, now;
  struct plex86_slice slice;
  struct plex86_env env;
  BX_CPU_C *cpu = BX_CPU(0);

  if (! core) return BX_ACCEL_EMULATE;
  memset(&slice, 0, sizeof(slice));
  if (! plex86_core_plan(core, cpu->cr3, cpu->gen_reg[BX_64BIT_REG_RIP].rrx, cpu->icount, &slice.emulate)) {
    look_after(slice.emulate);
    return BX_ACCEL_EMULATE;
  }

  // What we are waiting for has come: the timer must not cut the slice short.
  bx_pc_system.deactivate_timer(timer);
  plex86_export_env(&env);
  plex86_export_cpu(&was);
  plex86_export_vec(&vec);
  now = was;
  slice.env = &env;
  slice.pdpte = cpu->PDPTR_CACHE.entry;
  slice.cr3 = cpu->cr3;
  slice.icount = cpu->icount;
  slice.ticks_left = bx_pc_system.getNumCpuTicksLeftNextEvent();
  slice.vec_same = vec_valid && ! memcmp(&vec, &vec_left, sizeof(vec));

  enum plex86_verdict verdict = plex86_core_slice(core, &now, &vec, &slice);

  if (slice.changed) {
    plex86_import_cpu(&was, &now);
    plex86_import_vec(&vec);
    plex86_export_vec(&vec_left);
    vec_valid = true;
    if (slice.single_step) {
      cpu->debug_trap |= BX_DEBUG_SINGLE_STEP_BIT;
      cpu->async_event = 1;
    }
  }
  *ticks = slice.ticks;
  switch (verdict) {
    case PLEX86_RAN:
      return BX_ACCEL_RAN;
    case PLEX86_STEP:
      return BX_ACCEL_STEP;
    default:
      look_after(slice.emulate);
      return BX_ACCEL_EMULATE;
  }
}

// Memory is allocated before devices are initialised, but after bochsrc was read.
static Bit8u *ram_alloc(Bit64u bytes)
{
  return enabled() ? plex86_ram_alloc(bytes) : NULL;
}

static void page_decoded(bx_phy_address ppf)
{
  plex86_gpa_t gpa = { ppf };
  if (core) plex86_core_page_decoded(core, gpa);
}

static bool page_written(bx_phy_address ppf, Bit32u mask)
{
  plex86_gpa_t gpa = { ppf };
  return core && plex86_core_page_written(core, gpa, mask);
}

static void stamps_reset(void)
{
  if (core) plex86_core_stamps_reset(core);
}

static const bx_cpu_accel_t ops = {
  user_mode, run, page_decoded, page_written, stamps_reset, ram_alloc, plex86_ram_free
};

void plex86_hooks_register(bool (*is_enabled)(void))
{
  enabled = is_enabled;
  bx_cpu_accel = &ops;
}

void plex86_hooks_unregister(void)
{
  if (bx_cpu_accel == &ops) bx_cpu_accel = NULL;
}

void plex86_hooks_init(struct plex86_core *c, int t)
{
  core = c;
  timer = t;
  vec_valid = false;
}

//
// What the core asks of Bochs
//

static void watch_writes(plex86_gpa_t gpa, uint32_t mask)
{
  // Stack writes look at a cached copy of the stamp.
  if (PPFOf(gpa.pa) == BX_CPU(0)->pAddrStackPage) BX_CPU(0)->invalidate_stack_cache();
  pageWriteStampTable.markICacheMask(gpa.pa, mask);
}

static void forget_code(plex86_gpa_t gpa)
{
  pageWriteStampTable.decWriteStamp(gpa.pa);
}

static bool is_plain_ram(plex86_gpa_t gpa, const void *host)
{
  return (const void *) BX_CPU(0)->getHostMemAddr(gpa.pa, BX_READ) == host &&
         (const void *) BX_CPU(0)->getHostMemAddr(gpa.pa, BX_WRITE) == host;
}

static void glue_log(enum plex86_log_level level, const char *message)
{
  switch (level) {
    case PLEX86_LOG_DEBUG: BX_DEBUG(("plex86: %s", message)); break;
    case PLEX86_LOG_INFO:  BX_INFO(("plex86: %s", message)); break;
    default:               BX_ERROR(("plex86: %s", message)); break;
  }
}

const struct plex86_host_ops plex86_glue_host_ops = {
  watch_writes, forget_code, is_plain_ram, glue_log
};
