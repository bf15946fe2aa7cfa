/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The core's life: choosing an engine, RAM map, statistics, end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core_internal.h"

/*
 * Time that Bochs takes for one instruction until it has been measured: 200 to
 * 600 MIPS were seen on the machines that this was written on.
 */
#define INSN_NS_GUESS 3.0

static int try_engine(struct plex86_core *core, const struct plex86_engine_ops *ops,
		      char why[PLEX86_WHY_LEN])
{
	struct plex86_engine_config ec = {
		.ram_fd = core->config.ram_fd,
		.ram = core->config.ram,
		.ram_size = core->config.ram_size,
		.max_spaces = core->config.max_spaces,
	};
	int err = ops->open(&ec, &core->engine, why);

	if (!err) {
		core->ops = ops;
		core->caps = ops->caps(core->engine);
	}
	return err;
}

static int choose_engine(struct plex86_core *core, char why[PLEX86_WHY_LEN])
{
	const char *name = core->config.engine;
	char line[PLEX86_WHY_LEN + 64], all[PLEX86_WHY_LEN] = "";
	size_t len = 0;
	int i;

	if (!strcmp(name, "none"))
		return 0;
	for (i = 0; plex86_engines[i]; i++) {
		const struct plex86_engine_ops *ops = plex86_engines[i];

		if (strcmp(name, "auto") && strcmp(name, ops->name))
			continue;
		why[0] = 0;
		if (!try_engine(core, ops, why))
			return 0;
		snprintf(line, sizeof(line), "engine %s is not available: %s", ops->name, why);
		core->host->log(PLEX86_LOG_INFO, line);
		snprintf(all + len, sizeof(all) - len, "%s%s: %.*s",
			 len ? "; " : "", ops->name, strcmp(name, "auto") ? 240 : 115, why);
		len = strlen(all);
	}
	snprintf(why, PLEX86_WHY_LEN, "%s",
		 all[0] ? all : "this build has no engine of that name");
	return -ENODEV;
}

int plex86_core_open(const struct plex86_core_config *config, const struct plex86_host_ops *host,
		     struct plex86_core **corep, char why[PLEX86_WHY_LEN])
{
	struct plex86_core *core = calloc(1, sizeof(*core));
	uint64_t scratch;
	int err;

	if (!core) {
		snprintf(why, PLEX86_WHY_LEN, "out of memory");
		return -ENOMEM;
	}
	if (config->scratch_size > config->ram_size ||
	    (config->verify && config->scratch_size < PLEX86_VERIFY_BYTES)) {
		snprintf(why, PLEX86_WHY_LEN, "verify mode needs %llu bytes of scratch memory",
			 (unsigned long long)PLEX86_VERIFY_BYTES);
		err = -EINVAL;
		goto free_core;
	}
	if (!config->max_spaces || !config->ips) {
		snprintf(why, PLEX86_WHY_LEN, "max_spaces and ips must not be 0");
		err = -EINVAL;
		goto free_core;
	}
	core->config = *config;
	core->host = host;
	core->clock.ips = config->ips;
	core->emulating = PLEX86_BY_POLICY;
	core->stats.opened_ns = plex86_now_ns();
	err = plex86_ram_init(&core->ram, config->ram, config->ram_size - config->scratch_size,
			      config->guest_size, config->block_size);
	if (err) {
		snprintf(why, PLEX86_WHY_LEN, "the guest's memory can't be described: %s",
			 strerror(-err));
		goto free_core;
	}
	err = choose_engine(core, why);
	if (err)
		goto fini_ram;
	if (core->ops) {
		err = plex86_world_init(&core->world, core->ops, core->engine, host, &core->ram,
					config->max_spaces, config->strict);
		if (err) {
			snprintf(why, PLEX86_WHY_LEN, "out of memory");
			goto close_engine;
		}
		core->world.populate = config->populate;
		scratch = config->ram_size - config->scratch_size;
		if (config->verify) {
			err = plex86_verify_init(&core->verify, &core->world, scratch,
						 core->ops->name, config->case_file);
			scratch += PLEX86_VERIFY_BYTES;
		}
		if (config->ram_size - scratch >= PLEX86_COPIES_BYTES)
			plex86_copies_init(&core->world.copies, config->ram, scratch);
		if (err) {
			snprintf(why, PLEX86_WHY_LEN, "out of memory");
			goto fini_world;
		}
	}
	if (core->caps &&
	    plex86_filter_bitscan(core->caps->flags, config->tzcnt, config->lzcnt, false))
		host->log(PLEX86_LOG_INFO,
			  "the CPU model has TZCNT or LZCNT, and this host has not: pages "
			  "with such code run in Bochs (cpu: model= could name an older one)");
	plex86_policy_init(&core->policy, core->caps ? core->caps->round_trip_ns : 10000,
			   INSN_NS_GUESS);
	core->world.policy = &core->policy;
	*corep = core;
	return 0;

fini_world:
	plex86_world_fini(&core->world);
close_engine:
	core->ops->close(core->engine);
fini_ram:
	plex86_ram_fini(&core->ram);
free_core:
	free(core);
	return err;
}

void plex86_core_report(struct plex86_core *core)
{
	static const struct plex86_shadow_stats none;
	struct plex86_stats_context c = {
		.engine = plex86_core_engine_name(core),
		.caps = core->caps,
		.shadow = core->ops ? &core->world.stats : &none,
		.insn_ps = (uint64_t)(core->policy.insn_ns * 1000),
		.break_even = core->policy.break_even,
		.spaces = core->world.nspaces,
		.verify = core->verify ? &core->verify->stats : NULL,
	};
	char line[PLEX86_WHY_LEN];
	int err;

	plex86_stats_log(&core->stats, &c, core->host->log);
	if (!core->config.stats_file || !core->config.stats_file[0])
		return;
	err = plex86_stats_write(&core->stats, &c, core->config.stats_file);
	if (err) {
		snprintf(line, sizeof(line), "can't write statistics to %.150s: %s",
			 core->config.stats_file, strerror(-err));
		core->host->log(PLEX86_LOG_ERROR, line);
	}
}

void plex86_core_close(struct plex86_core *core)
{
	if (!core)
		return;
	plex86_core_report(core);
	plex86_verify_fini(core->verify);
	if (core->ops) {
		plex86_world_fini(&core->world);
		core->ops->close(core->engine);
	}
	plex86_ram_fini(&core->ram);
	free(core);
}

int plex86_core_set_block(struct plex86_core *core, uint64_t n, const void *host_addr)
{
	return plex86_ram_set_block(&core->ram, n, host_addr);
}

const char *plex86_core_engine_name(const struct plex86_core *core)
{
	return core->ops ? core->ops->name : "none";
}

void plex86_core_unspent(struct plex86_core *core, uint32_t ticks)
{
	core->accounted -= ticks;
	core->stats.native_ticks -= ticks;
	core->policy.start -= ticks;
	/* Verify mode's slices last as long as Bochs takes for them, not a little longer. */
	if (!core->verify)
		core->clock.debt += ticks;
}

void plex86_core_drop_all(struct plex86_core *core)
{
	core->last = NULL;
	if (core->verify)
		plex86_verify_abandon(core->verify);
	if (core->ops) {
		plex86_world_drop_all(&core->world);
		core->world.descriptors.dirty = true;
	}
}

bool plex86_core_page_written(struct plex86_core *core, plex86_gpa_t gpa, uint32_t mask)
{
	if (core->verify)
		plex86_verify_written(core->verify, gpa);
	return core->ops && plex86_world_page_written(&core->world, gpa, mask);
}

void plex86_core_page_decoded(struct plex86_core *core, plex86_gpa_t gpa)
{
	if (core->ops)
		plex86_world_page_decoded(&core->world, gpa);
}

void plex86_core_stamps_reset(struct plex86_core *core)
{
	core->last = NULL;
	if (core->verify)
		plex86_verify_abandon(core->verify);
	if (core->ops)
		plex86_world_stamps_reset(&core->world);
}

void plex86_core_kick(struct plex86_core *core)
{
	if (core->ops)
		core->ops->kick(core->engine);
}

void plex86_core_answer(struct plex86_core *core)
{
	if (!core->stats_requested)
		return;
	core->stats_requested = 0;
	plex86_core_report(core);
}

void plex86_core_request_stats(struct plex86_core *core)
{
	core->stats_requested = 1;
	plex86_core_kick(core);
}
