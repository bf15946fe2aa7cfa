/* SPDX-License-Identifier: LGPL-2.1-or-later */
//
// The recorder of bursts (plugin/trace.h), as an accelerator that never runs
// anything: it takes the place of the other one's operations while it is on, so that
// it costs nothing while it is off.
//
#include "glue.h"

#include "../plugin/trace.h"

static struct plex86_trace *trace;
static const bx_cpu_accel_t *others;
static bx_cpu_accel_t ops;

// Called in the middle of the transition. A fault, or an interrupt, has its return
// address at the last boundary; an instruction that enters the kernel is past it.
static enum plex86_trace_end how_it_ended(void)
{
  BX_CPU_C *cpu = BX_CPU(0);

  if (cpu->gen_reg[BX_64BIT_REG_RIP].rrx != cpu->prev_rip) return PLEX86_TRACE_SYSCALL;
  return cpu->last_exception_type ? PLEX86_TRACE_FAULT : PLEX86_TRACE_INTERRUPT;
}

static void user_mode(bool user)
{
  if (user) {
    bx_cpu_accel_request();
    return;
  }
  plex86_trace_end(trace, how_it_ended(), BX_CPU(0)->gen_reg[BX_64BIT_REG_RAX].rrx,
                   BX_CPU(0)->icount);
}

static bx_accel_verdict_t run(Bit32u *)
{
  BX_CPU_C *cpu = BX_CPU(0);
  bool fresh = true;

  for (int i = 0; i < BX_GENERAL_REGISTERS; i++)
    if (i != BX_64BIT_REG_RSP && cpu->gen_reg[i].rrx) fresh = false;
  plex86_trace_begin(trace, plex86_page_root(), cpu->gen_reg[BX_64BIT_REG_RIP].rrx, cpu->icount, fresh);
  return BX_ACCEL_EMULATE;
}

int plex86_trace_start(const char *path)
{
  int err = plex86_trace_open(&trace, path);
  if (err) return err;
  others = bx_cpu_accel;
  ops = *others;
  ops.user_mode = user_mode;
  ops.run = run;
  bx_cpu_accel = &ops;
  return 0;
}

int plex86_trace_stop(void)
{
  if (! trace) return 0;
  bx_cpu_accel = others;
  int err = plex86_trace_close(trace);
  trace = NULL;
  return err;
}
