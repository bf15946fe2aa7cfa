/* SPDX-License-Identifier: LGPL-2.1-or-later */
//
// The plugin: bochsrc option, life cycle, and the conditions under which a
// Bochs can be accelerated at all.
//
#define BX_PLUGGABLE

#include "iodev/iodev.h"
#include "glue.h"

#include "bxversion.h"
#include "gui/siminterface.h"
#include "param_names.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define LOG_THIS thePlex86->

#define BXPN_PLEX86 "misc.plex86"

// 64 MiB, which is more than most processes have
#define POPULATE_PAGES 16384

class bx_plex86_c : public bx_devmodel_c {
public:
  bx_plex86_c() : core(NULL), timer(-1), pid(getpid()) { put("plex86", "PLEX86"); }
  virtual ~bx_plex86_c() { stop(); }
  virtual void init(void);
  virtual void reset(unsigned type);
  virtual void register_state(void) {} // nothing: what is derived is derived again
  virtual void after_restore_state(void);
  void stop(void);

  struct plex86_core *core;
private:
  int timer;
  pid_t pid;
  const char *obstacle(void);
  void give_up(bool named, const char *why);
};

static bx_plex86_c *thePlex86 = NULL;

enum { ENGINE_AUTO, ENGINE_DRIVER, ENGINE_PROCESS, ENGINE_NONE };
static const char *const engine_names[] = { "auto", "driver", "process", "none", NULL };

enum { HANDOVER_POLICY, HANDOVER_ALWAYS };
static const char *const handover_names[] = { "policy", "always", NULL };

static bx_param_c *option(const char *name)
{
  return SIM->get_param(name, SIM->get_param(BXPN_PLEX86));
}

// Is this the Bochs that the plugin was built for? If not, nothing of it may be touched.
static bool fits;

static bool is_enabled(void)
{
  return fits && ((bx_param_bool_c *) option("enabled"))->get() != 0;
}

// Bochs writes an empty string as "none", in a bochsrc as in a snapshot.
static const char *file_option(const char *name)
{
  bx_param_string_c *file = (bx_param_string_c *) option(name);
  return file->isempty() ? NULL : file->getptr();
}

static bool verifies(void)
{
  return ((bx_param_bool_c *) option("verify"))->get() != 0;
}

// Behind the guest's memory, for copies of its pages.
static Bit64u scratch_size(void)
{
  return plex86_core_scratch(verifies());
}

// What this Bochs or this configuration has that can't be accelerated.
const char *bx_plex86_c::obstacle(void)
{
  if (BX_SMP_PROCESSORS > 1)
    return "more than one processor is emulated (use cpu: count=1)";
#if BX_INSTRUMENTATION
  return "this Bochs was built with instrumentation, which native code would bypass";
#endif
#if BX_SUPPORT_HANDLERS_CHAINING_SPEEDUPS == 0
  if (verifies())
    return "verify=1 needs a Bochs with --enable-handlers-chaining";
#endif
  if (bx_dbg.debugger_active)
    return "the internal debugger is active";
#if BX_GDBSTUB
  if (bx_dbg.gdbstub_enabled)
    return "the gdb stub is active";
#endif
  if (SIM->get_param_num(BXPN_HOST_MEM_SIZE)->get() < SIM->get_param_num(BXPN_MEM_SIZE)->get())
    return "memory: host is smaller than guest, so guest memory is swapped to a file";
  if (BX_MEM(0)->get_memory_len() > BX_CONST64(0x100000000))
    return "the guest has more than 4 GiB of memory";
  return NULL;
}

void bx_plex86_c::give_up(bool named, const char *why)
{
  plex86_hooks_unregister();
  if (named)
    BX_PANIC(("no acceleration: %s", why));
  else
    BX_ERROR(("no acceleration, Bochs goes on without: %s", why));
}

static void on_sigusr2(int)
{
  if (thePlex86 && thePlex86->core) plex86_core_request_stats(thePlex86->core);
}

void bx_plex86_c::init(void)
{
  if (! is_enabled()) {
    if (fits) plex86_hooks_unregister();
    return;
  }
  int engine = ((bx_param_enum_c *) option("engine"))->get();
  bool named = engine == ENGINE_DRIVER || engine == ENGINE_PROCESS;
  const char *why = obstacle();
  if (why) {
    give_up(named, why);
    return;
  }

  const char *trace = file_option("trace");
  if (trace) {
    int err = plex86_trace_start(trace);
    if (err) BX_PANIC(("can't write a trace to %s: %s", trace, strerror(-err)));
    else BX_INFO(("no acceleration: bursts of user code are written to %s", trace));
    return;
  }

  struct plex86_core_config config;
  Bit64u size;
  char reason[PLEX86_WHY_LEN] = "";
  memset(&config, 0, sizeof(config));
  if (! plex86_ram_object(&config.ram_fd, &config.ram, &size)) {
    give_up(named, "the guest's memory could not be shared");
    return;
  }
  config.engine = engine_names[engine];
  config.ram_size = size;
  config.guest_size = BX_MEM(0)->get_memory_len();
  config.block_size = plex86_ram_block_size();
  config.ips = SIM->get_param_num(BXPN_IPS)->get();
  config.max_spaces = ((bx_param_num_c *) option("max_spaces"))->get();
  config.populate = POPULATE_PAGES;
  config.strict = ((bx_param_bool_c *) option("strict"))->get() != 0;
  config.eager = ((bx_param_enum_c *) option("handover"))->get() == HANDOVER_ALWAYS;
  config.huge1g = BX_CPU(0)->is_cpu_extension_supported(BX_ISA_1G_PAGES);
  config.phys_bits = BX_PHY_ADDRESS_WIDTH;
  config.tzcnt = BX_CPU(0)->is_cpu_extension_supported(BX_ISA_BMI1);
  config.lzcnt = BX_CPU(0)->is_cpu_extension_supported(BX_ISA_LZCNT);
  config.stats_file = file_option("stats");
  config.case_file = file_option("verify_case");
  config.verify = verifies();
  config.scratch_size = scratch_size();
  if (plex86_core_open(&config, &plex86_glue_host_ops, &core, reason) < 0) {
    give_up(named, reason);
    return;
  }
  if (! plex86_ram_describe(core)) {
    stop();
    give_up(named, "the guest's memory is not where it was expected");
    return;
  }
  BX_INFO(("user code runs on engine '%s'", plex86_core_engine_name(core)));
}

// A snapshot has the timers that there are before the first reset, by number. Ours
// comes after them, so a snapshot is the same with acceleration and without.
void bx_plex86_c::reset(unsigned type)
{
  if (! core) return;
  plex86_core_drop_all(core);
  if (timer < 0) {
    timer = bx_pc_system.register_timer_ticks(this, plex86_hooks_timer, 1000, 0, 0, "plex86");
    plex86_hooks_init(core, timer);
  }
}

// Memory, CPU and clock are others now. Bochs restores right after a reset, which has
// cleared its traces and write stamps: there are none, and nothing derived from them.
void bx_plex86_c::after_restore_state(void)
{
  if (! core) return;
  plex86_core_stamps_reset(core);
  if (! plex86_ram_describe(core)) {
    stop();
    give_up(false, "the restored memory is not where it was expected");
    return;
  }
  plex86_hooks_init(core, timer);
}

void bx_plex86_c::stop(void)
{
  // Bochs forks to execute scripts; a copy that couldn't, and ends, has no engine.
  if (getpid() != pid) return;
  if (plex86_trace_stop() < 0)
    BX_ERROR(("the trace is not complete: it could not be written"));
  if (! core) return;
  plex86_hooks_init(NULL, timer);
  struct plex86_core *closing = core;
  core = NULL; // SIGUSR2 may come
  plex86_core_close(closing);
}

static void end(void)
{
  if (thePlex86) thePlex86->stop();
}

//
// bochsrc
//

static void init_options(void)
{
  bx_list_c *misc = (bx_list_c *) SIM->get_param("misc");
  bx_list_c *menu = new bx_list_c(misc, "plex86", "CPU accelerator");
  menu->set_options(menu->SHOW_PARENT);
  new bx_param_bool_c(menu, "enabled", "Run user code natively",
                      "Executes user-privilege guest code directly on the host CPU", 1);
  new bx_param_enum_c(menu, "engine", "Engine",
                      "What executes it: 'auto', 'driver' (plex86.ko), 'process' or 'none'",
                      (const char **) engine_names, ENGINE_AUTO, ENGINE_AUTO);
  new bx_param_bool_c(menu, "strict", "Strict",
                      "Leave to Bochs all code that the engine can't run exactly", 0);
  new bx_param_enum_c(menu, "handover", "When to go native",
                      "'policy': where it pays; 'always': at every opportunity, for tests",
                      (const char **) handover_names, HANDOVER_POLICY, HANDOVER_POLICY);
  new bx_param_num_c(menu, "max_spaces", "Address spaces",
                     "Guest address spaces kept ready at once", 1, 1024, 64);
  new bx_param_filename_c(menu, "stats", "Statistics file",
                          "JSON, written at the end and on SIGUSR2", "", BX_PATHNAME_LEN);
  new bx_param_filename_c(menu, "trace", "Trace of user code",
                          "Accelerates nothing, but writes down each burst of user code", "",
                          BX_PATHNAME_LEN);
  new bx_param_bool_c(menu, "verify", "Verify",
                      "Let Bochs execute all native code again, and stop at a difference", 0);
  new bx_param_filename_c(menu, "verify_case", "File for a difference",
                          "What verify mode writes before it stops", "plex86-verify.case",
                          BX_PATHNAME_LEN);
}

static Bit32s parse_options(const char *context, int num_params, char *params[])
{
  if (strcmp(params[0], "plex86")) {
    BX_PANIC(("%s: unknown directive '%s'", context, params[0]));
    return 0;
  }
  bx_list_c *base = (bx_list_c *) SIM->get_param(BXPN_PLEX86);
  for (int i = 1; i < num_params; i++) {
    if (!strncmp(params[i], "spin=", 5)) {
      BX_ERROR(("%s: plex86: there is no 'spin': an engine that waits for its code on a core of its own can't be "
                "exact, and for one that is exact it gains nothing (docs/process.md)", context));
      continue;
    }
    // Of a "=" alone Bochs would compare a name that there is none of.
    if (*params[i] == '=' || SIM->parse_param_from_list(context, params[i], base) < 0)
      BX_ERROR(("%s: unknown or wrong parameter for plex86 ignored: '%s'", context, params[i]));
  }
  return 0;
}

static Bit32s save_options(FILE *fp)
{
  return SIM->write_param_list(fp, (bx_list_c *) SIM->get_param(BXPN_PLEX86), NULL, 0);
}

// Same version, same configuration? The compiler knows one side, Bochs the other.
static bool fits_this_bochs(void)
{
  static const bx_accel_abi_t mine = BX_ACCEL_ABI;

  if (&bx_cpu_accel == NULL || &bx_accel_abi == NULL) {
    genlog->error("plex86: this Bochs has no CPU accelerator interface: it was built without "
                  "--enable-cpu-accel, or without our patches. Bochs goes on without acceleration.");
    return false;
  }
  if (strcmp(mine.version, bx_accel_abi.version) || mine.cpu_size != bx_accel_abi.cpu_size ||
      mine.mem_size != bx_accel_abi.mem_size ||
      mine.pc_system_size != bx_accel_abi.pc_system_size ||
      mine.ops_size != bx_accel_abi.ops_size || mine.gdbstub != bx_accel_abi.gdbstub) {
    genlog->error("plex86: this plugin was built for another Bochs (plugin: version %s, CPU object "
                  "of %u bytes%s; Bochs: version %s, %u bytes%s). Build both from one configuration. "
                  "Bochs goes on without acceleration.", mine.version, mine.cpu_size,
                  mine.gdbstub ? ", gdb stub" : "", bx_accel_abi.version, bx_accel_abi.cpu_size,
                  bx_accel_abi.gdbstub ? ", gdb stub" : "");
    return false;
  }
  return true;
}

// As long as the plugin is there, accelerating or not, and when it has gone: the signal must
// not end Bochs, and the guest.
static void handle_sigusr2(void (*how)(int))
{
  struct sigaction sa;

  memset(&sa, 0, sizeof(sa));
  sa.sa_handler = how;
  sa.sa_flags = SA_RESTART;
  sigaction(SIGUSR2, &sa, NULL);
}

#pragma GCC visibility push(default)
PLUGIN_ENTRY_FOR_MODULE(plex86)
{
  if (mode == PLUGIN_INIT) {
    thePlex86 = new bx_plex86_c();
    handle_sigusr2(on_sigusr2);
    BX_REGISTER_DEVICE_DEVMODEL(plugin, type, thePlex86, "plex86");
    init_options();
    SIM->register_addon_option("plex86", parse_options, save_options);
    fits = fits_this_bochs();
    if (fits) plex86_hooks_register(is_enabled, scratch_size, end);
  } else if (mode == PLUGIN_FINI) {
    handle_sigusr2(SIG_IGN);
    delete thePlex86;
    thePlex86 = NULL;
    if (fits) plex86_hooks_unregister();
    SIM->unregister_addon_option("plex86");
    ((bx_list_c *) SIM->get_param("misc"))->remove("plex86");
  } else if (mode == PLUGIN_PROBE) {
    return (int) PLUGTYPE_OPTIONAL;
  }
  return 0; // success
}
#pragma GCC visibility pop
