/* SPDX-License-Identifier: LGPL-2.1-or-later */
//
// A Bochs plugin that does what a human does with Bochs's "save" button, at a known time:
// it saves a snapshot and ends the simulation. PLEX86_SNAPSHOT is "MODE TICK FOLDER"; the
// first moment from TICK on is taken at which the CPU is in MODE, 'u'ser or 'k'ernel.
//
#define BX_PLUGGABLE

#include "iodev/iodev.h"
#include "cpu/cpu.h"
#include "pc_system.h"
#include "gui/siminterface.h"

#include <stdio.h>
#include <stdlib.h>

#define LOG_THIS theSnapshot->

// Prime, or it might meet the same place again and again.
#define LOOK_AGAIN_TICKS 997

class bx_snapshot_c : public bx_devmodel_c {
public:
  bx_snapshot_c() : timer(-1) { put("snapshot", "SNAP"); }
  virtual void init(void) {}
  virtual void reset(unsigned type);
  int timer;
  char mode, folder[BX_PATHNAME_LEN];
};

static bx_snapshot_c *theSnapshot = NULL;

static void look(void *)
{
  bool want = theSnapshot->mode == 'u';

  if (BX_CPU(0)->user_pl != want) {
    bx_pc_system.activate_timer_ticks(theSnapshot->timer, LOOK_AGAIN_TICKS, 0);
    return;
  }
  if (! SIM->save_state(theSnapshot->folder))
    BX_PANIC(("no snapshot could be saved in %s", theSnapshot->folder));
  fprintf(stderr, "snapshot saved at %llu\n", (unsigned long long) bx_pc_system.time_ticks());
  BX_CPU(0)->async_event = 1;
  bx_pc_system.kill_bochs_request = 1;
}

// After Bochs has counted the timers that belong to a snapshot.
void bx_snapshot_c::reset(unsigned type)
{
  const char *what = getenv("PLEX86_SNAPSHOT");
  unsigned long long tick;

  if (timer >= 0 || what == NULL) return;
  if (sscanf(what, "%c %llu %511[^\n]", &mode, &tick, folder) != 3)
    BX_PANIC(("PLEX86_SNAPSHOT should be MODE TICK FOLDER"));
  timer = bx_pc_system.register_timer_ticks(this, look, tick, 0, 1, "snapshot");
}

#pragma GCC visibility push(default)
PLUGIN_ENTRY_FOR_MODULE(snapshot)
{
  if (mode == PLUGIN_INIT) {
    theSnapshot = new bx_snapshot_c();
    BX_REGISTER_DEVICE_DEVMODEL(plugin, type, theSnapshot, "snapshot");
  } else if (mode == PLUGIN_FINI) {
    delete theSnapshot;
    theSnapshot = NULL;
  } else if (mode == PLUGIN_PROBE) {
    return (int) PLUGTYPE_OPTIONAL;
  }
  return 0; // success
}
#pragma GCC visibility pop
