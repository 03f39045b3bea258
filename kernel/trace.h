/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM uffdvram

#if !defined(_UFFDVRAM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _UFFDVRAM_TRACE_H

#include <linux/mm_types.h>
#include <linux/tracepoint.h>

/* One step of MIGRATE: up to 2 MiB of one address space. */
TRACE_EVENT(uffdvram_migrate,
	TP_PROTO(struct mm_struct *mm, unsigned long start, unsigned long end,
		 bool to_ram, unsigned int moved),
	TP_ARGS(mm, start, end, to_ram, moved),
	TP_STRUCT__entry(
		__field(void *, mm)
		__field(unsigned long, start)
		__field(unsigned long, end)
		__field(bool, to_ram)
		__field(unsigned int, moved)
	),
	TP_fast_assign(
		__entry->mm = mm;
		__entry->start = start;
		__entry->end = end;
		__entry->to_ram = to_ram;
		__entry->moved = moved;
	),
	TP_printk("mm=%p start=%#lx end=%#lx to=%s moved=%u",
		  __entry->mm, __entry->start, __entry->end,
		  __entry->to_ram ? "ram" : "vram", __entry->moved)
);

/* A CPU touched a page in VRAM. */
TRACE_EVENT(uffdvram_fault,
	TP_PROTO(u32 pool, unsigned long slot, unsigned long addr, int ret),
	TP_ARGS(pool, slot, addr, ret),
	TP_STRUCT__entry(
		__field(u32, pool)
		__field(unsigned long, slot)
		__field(unsigned long, addr)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->pool = pool;
		__entry->slot = slot;
		__entry->addr = addr;
		__entry->ret = ret;
	),
	TP_printk("pool=%u slot=%lu addr=%#lx ret=%#x",
		  __entry->pool, __entry->slot, __entry->addr, __entry->ret)
);

/* Pages brought home by pfn: orphans, or everything of a draining pool. */
TRACE_EVENT(uffdvram_evict,
	TP_PROTO(u32 pool, unsigned int tried, unsigned int moved),
	TP_ARGS(pool, tried, moved),
	TP_STRUCT__entry(
		__field(u32, pool)
		__field(unsigned int, tried)
		__field(unsigned int, moved)
	),
	TP_fast_assign(
		__entry->pool = pool;
		__entry->tried = tried;
		__entry->moved = moved;
	),
	TP_printk("pool=%u tried=%u moved=%u",
		  __entry->pool, __entry->tried, __entry->moved)
);

#endif /* _UFFDVRAM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
