// SPDX-License-Identifier: GPL-2.0-only
/* uffdvram_module_find(): the .modinfo section of a module, which is the input */
#include <elf.h>

#include "fuzzer.h"
#include "../../lib/module_find.h"

#define NAMES "\0.modinfo\0.shstrtab"

struct module_file {
	Elf64_Ehdr head;
	Elf64_Shdr sections[3];
	char names[sizeof(NAMES)];
};

static const struct module_file file = {
	.head = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = ET_REL, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
		.e_shoff = offsetof(struct module_file, sections),
		.e_ehsize = sizeof(Elf64_Ehdr), .e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = 3, .e_shstrndx = 2,
	},
	.sections = {
		[1] = { .sh_name = 1, .sh_type = SHT_PROGBITS, .sh_offset = sizeof(file) },
		[2] = { .sh_name = 10, .sh_type = SHT_STRTAB, .sh_size = sizeof(NAMES),
			.sh_offset = offsetof(struct module_file, names) },
	},
	.names = NAMES,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char path[] = "/tmp/uffdvram-fuzz";
	static char mine[64];
	struct uffdvram_module_opts opts = { .size = sizeof(opts), .path = mine };
	struct module_file m = file;
	struct uffdvram_found found;
	FILE *f;

	if (!*mine)
		snprintf(mine, sizeof(mine), "%s-%d.ko", path, (int)getpid());
	m.sections[1].sh_size = size;
	f = fopen(mine, "we");
	must(f && fwrite(&m, sizeof(m), 1, f) == 1 && fwrite(data, 1, size, f) == size);
	must(!fclose(f));
	if (!uffdvram_module_find(&opts, &found))
		must(strlen(found.release) < sizeof(found.release) &&
		     !strchr(found.release, ' ') && !found.blacklisted);
	unlink(mine);
	return 0;
}
