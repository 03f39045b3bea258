/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM nvidia

#if !defined(_NVIDIA_STUB_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _NVIDIA_STUB_TRACE_H

#include <linux/tracepoint.h>

struct pci_dev;

/* Prototype of the event in nv-tracepoint.h, from 575.51 on. */
TRACE_EVENT(nvidia_dev_xid,
	TP_PROTO(const struct pci_dev *pdev, u32 error_code, const char *msg),
	TP_ARGS(pdev, error_code, msg),
	TP_STRUCT__entry(
		__field(u32, error_code)
	),
	TP_fast_assign(
		__entry->error_code = error_code;
	),
	TP_printk("Xid %u", __entry->error_code)
);

#endif /* _NVIDIA_STUB_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE stub_trace
#include <trace/define_trace.h>
