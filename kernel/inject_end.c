// SPDX-License-Identifier: GPL-2.0-only
/* Linked last: the end of the sites. See inject.h. */
#include "inject.h"

struct uffdvram_site uffdvram_sites_end[0] UFFDVRAM_SITE;
