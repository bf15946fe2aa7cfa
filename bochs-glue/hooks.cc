/* SPDX-License-Identifier: LGPL-2.1-or-later */
//
// What Bochs calls: the operations behind bx_cpu_accel, and what the core asks
// of Bochs in turn.
//
#include <string.h>

#include "glue.h"
#include "gui/siminterface.h"
#include "param_names.h"

#define LOG_THIS genlog->

static struct plex86_core *core;
static int timer = -1;

#define NEVER BX_CONST64(0xffffffffffffffff)

// at least, in guest time
#define SLICES_PER_SECOND 100
static Bit64u longest_slice;

// Who wants statistics waits so long for them, at the most.
#define LOOKS_PER_SECOND 10
static Bit64u seldom;

static bool (*enabled)(void);
static Bit64u (*scratch_size)(void);
static void (*stop)(void);

// The vector state that the last slice left, to see whether Bochs has changed it.
static struct plex86_vec vec BX_CPP_AlignN(64), vec_left BX_CPP_AlignN(64);
static bool vec_valid;

static void look_now(void)
{
  bx_cpu_accel_request();
}

// The timer is left alone where it fires early enough: it is set again then, if
// need be, which is cheaper than to set it at each entry to user mode.
static Bit64u look_at = NEVER, fires_at = NEVER;

// What is waited for is instructions, and to a string instruction each byte is a tick.
static Bit64u wait_ticks, longest_wait, look_icount;

static void arm(Bit64u ticks)
{
  fires_at = bx_pc_system.time_ticks() + ticks;
  bx_pc_system.activate_timer_ticks(timer, ticks, 0);
}

static void look_in(Bit64u ticks)
{
  look_at = bx_pc_system.time_ticks() + ticks;
  if (look_at < fires_at) arm(ticks < seldom ? ticks : seldom);
}

static void look_after(Bit64u ticks)
{
  wait_ticks = ticks;
  longest_wait = 16 * ticks;
  look_icount = BX_CPU(0)->icount + ticks / 2;
  look_in(ticks);
}

static void look_no_more(void)
{
  look_at = NEVER;
  bx_cpu_accel_page_change = false;
}

// Has the burst executed less than half of the instructions that it was to? Then it copies,
// which is soon done: it may go on for longer then, so that hardly anything is spent on looking.
static bool copies(void)
{
  if (BX_CPU(0)->icount >= look_icount) return false;
  if (wait_ticks < longest_wait) wait_ticks *= 4;
  look_in(wait_ticks);
  return true;
}

void plex86_hooks_timer(void *)
{
  Bit64u now = bx_pc_system.time_ticks();

  fires_at = NEVER;
  if (core) plex86_core_answer(core);
  if (look_at > now) {
    arm(look_at - now < seldom ? look_at - now : seldom);
    return;
  }
  if (copies()) return;
  look_no_more();
  arm(seldom);
  if (core && BX_CPU(0)->user_pl) look_now();
}

static void look_as(const struct plex86_wait *wait)
{
  look_after(wait->ticks);
  bx_cpu_accel_page_change = wait->leave_page;
  // nothing is fetched by traces that are linked across pages
  if (wait->surely) BX_CPU(0)->iCache.breakLinks();
}

static void user_mode(bool user)
{
  if (! core) return;
  look_no_more();
  if (! user) {
    plex86_core_kernel_mode(core, BX_CPU(0)->icount);
    return;
  }
  Bit64u after = plex86_core_user_mode(core, plex86_page_root(), BX_CPU(0)->icount);
  if (after == 0) look_now();
  else look_after(after);
}

static bx_accel_verdict_t obey(enum plex86_verdict verdict, const struct plex86_slice *slice,
                               Bit32u *ticks)
{
  *ticks = slice->ticks;
  switch (verdict) {
    case PLEX86_RAN:
      return BX_ACCEL_RAN;
    case PLEX86_STEP:
      return BX_ACCEL_STEP;
    case PLEX86_REPLAY:
      return BX_ACCEL_REPLAY;
    default:
      look_as(&slice->wait);
      return BX_ACCEL_EMULATE;
  }
}

// The linear address of the page that prefetch() was last called for. The trace at which it was
// may have ended in another page by now.
static Bit64u last_fetched(const BX_CPU_C *cpu)
{
  Bit64u eip = cpu->eipPageWindowSize ? (Bit64u) -cpu->eipPageBias : cpu->gen_reg[BX_64BIT_REG_RIP].rrx;
  return cpu->long64_mode() ? eip : (Bit32u) (eip + cpu->get_segment_base(BX_SEG_REG_CS));
}

static bx_accel_verdict_t run(Bit32u *ticks)
{
  static struct plex86_cpu was, now;
  struct plex86_slice slice;
  struct plex86_env env;
  BX_CPU_C *cpu = BX_CPU(0);

  if (! core) return BX_ACCEL_EMULATE;
  memset(&slice, 0, sizeof(slice));
  if (plex86_core_replaying(core)) {
    slice.icount = cpu->icount;
    plex86_export_cpu(&now);
    return obey(plex86_core_replay(core, &now, &slice), &slice, ticks);
  }
  look_no_more();
  slice.ticks_left = bx_pc_system.getNumCpuTicksLeftNextWork();
  struct plex86_place at;
  at.cr3 = plex86_page_root();
  at.rip = cpu->gen_reg[BX_64BIT_REG_RIP].rrx;
  at.icount = cpu->icount;
  at.fetched = last_fetched(cpu);
  at.ticks_left = slice.ticks_left;
  if (! plex86_core_plan(core, &at, &slice.wait)) {
    look_as(&slice.wait);
    return BX_ACCEL_EMULATE;
  }

  plex86_export_env(&env);
  plex86_export_cpu(&was);
  plex86_export_vec(&vec);
  now = was;
  plex86_export_tables(&slice.tables);
  slice.env = &env;
  slice.pdpte = cpu->PDPTR_CACHE.entry;
  slice.cr3 = at.cr3;
  slice.icount = cpu->icount;
  // timers that poll the outside world don't end it, but they do want to be heard
  if (slice.ticks_left > longest_slice) slice.ticks_left = longest_slice;
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
  return obey(verdict, &slice, ticks);
}

static void unspent(Bit32u ticks)
{
  if (core) plex86_core_unspent(core, ticks);
}

// Memory is allocated before devices are initialised, but after bochsrc was read.
static Bit8u *ram_alloc(Bit64u bytes)
{
  if (! enabled()) return NULL;
  plex86_cpu_huge_pages(); // before it is used
  return plex86_ram_alloc(bytes, scratch_size());
}

// Bochs frees it before it ends the plugins; the engine must not outlive it.
static void ram_free(Bit8u *ram, Bit64u)
{
  stop();
  plex86_ram_free(ram);
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

// Rare, and what is mapped does not say what it was mapped for.
static void memory_changed(void)
{
  if (core) plex86_core_drop_all(core);
}

static const bx_cpu_accel_t ops = {
  user_mode, run, unspent, page_decoded, page_written, stamps_reset, memory_changed, ram_alloc, ram_free
};

void plex86_hooks_register(bool (*is_enabled)(void), Bit64u (*scratch)(void), void (*end)(void))
{
  enabled = is_enabled;
  scratch_size = scratch;
  stop = end;
  bx_cpu_accel = &ops;
}

void plex86_hooks_unregister(void)
{
  if (bx_cpu_accel == &ops) bx_cpu_accel = NULL;
}

void plex86_hooks_init(struct plex86_core *c, int t)
{
  longest_slice = SIM->get_param_num(BXPN_IPS)->get() / SLICES_PER_SECOND;
  seldom = SIM->get_param_num(BXPN_IPS)->get() / LOOKS_PER_SECOND;
  core = c;
  timer = t;
  look_no_more();
  fires_at = NEVER;
  if (timer >= 0) {
    bx_pc_system.deactivate_timer(timer); // after a restore its time may have passed
    bx_pc_system.set_timer_idle(timer, true); // it must not cut slices short
    if (core) arm(seldom);
  }
  vec_valid = false;
  if (BX_CPU(0)->user_pl) user_mode(true); // where a snapshot was taken
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

// Bochs's TLB says what the CPU would use, and is quicker than a walk.
static bool translate(plex86_gva_t la, plex86_gpa_t *gpa)
{
  bx_TLB_entry *entry = BX_CPU(0)->DTLB.get_entry_of(la.la, 0);
  bx_phy_address paddr;

  if (entry->lpf == LPFOf(la.la)) {
    gpa->pa = entry->ppf;
    return true;
  }
  if (! BX_CPU(0)->dbg_xlate_linear2phy(la.la, &paddr)) return false;
  gpa->pa = PPFOf(paddr);
  return true;
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
    case PLEX86_LOG_PANIC: BX_PANIC(("plex86: %s", message)); break;
    default:               BX_ERROR(("plex86: %s", message)); break;
  }
}

static void disassemble(const struct plex86_cpu *cpu, uint64_t la, const uint8_t *code,
                        char *text, size_t len)
{
  const struct plex86_seg *cs = &cpu->seg[PLEX86_CS];
  bool is_64 = cpu->mode == PLEX86_MODE_64;
  char buf[256]; // more than Bochs ever writes there
  bxInstruction_c i;
  bx_address base = is_64 ? 0 : cs->base;

  ::disasm(code, (cs->attr & PLEX86_SEG_DB) != 0, is_64, buf, &i, base, la - base);
  snprintf(text, len, "%s", buf);
}

static void walk_again(plex86_gva_t la)
{
  BX_CPU(0)->TLB_invlpg(la.la);
}

const struct plex86_host_ops plex86_glue_host_ops = {
  watch_writes, forget_code, translate, walk_again, is_plain_ram, glue_log, plex86_export_vec, disassemble
};
