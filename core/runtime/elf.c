/*
 * Reads 64-bit little-endian ELF shared objects for this machine: segments, the dynamic section,
 * hash tables and those relocations that data needs. Not a loader: other objects, thread-local
 * storage, constructors and code are left alone. ELF gABI chapters 4 and 5; processor supplements
 * for the relocation types.
 */
#include <runtime/elf.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
enum { MACHINE = EM_X86_64, RELATIVE = R_X86_64_RELATIVE, ABSOLUTE = R_X86_64_64 };
#elif defined(__aarch64__)
enum { MACHINE = EM_AARCH64, RELATIVE = R_AARCH64_RELATIVE, ABSOLUTE = R_AARCH64_ABS64 };
#else
#error "plugins are read on x86-64 and aarch64 only"
#endif

/* Newer than the <elf.h> of some systems. */
enum { TAG_RELR_BYTES = 35, TAG_RELR = 36 };

#define MAX_MEMORY_BYTES ((uint64_t)256 * 1024 * 1024)

enum { MAX_SEGMENTS = 64 };

struct dynamic {
    uint64_t rela, rela_bytes, relr, relr_bytes, flags_1;
};

static enum rc_code damaged(const char *path, const char *what, struct rc_error *err)
{
    return rc_fail(err, RC_INVALID, "'%s' is damaged: %s; build or copy it again", path, what);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

static bool fits(uint64_t at, uint64_t len, uint64_t total)
{
    return at <= total && len <= total - at;
}

bool core_elf_holds(const struct core_elf *elf, const void *pointer, size_t len)
{
    uintptr_t at = (uintptr_t)pointer, base = (uintptr_t)elf->memory;

    return at >= base && fits(at - base, len, elf->bytes);
}

/* Copies from an address of the object; the copy also frees us from its alignment. */
static bool get(const struct core_elf *elf, uint64_t address, void *out, size_t len)
{
    if (!fits(address, len, elf->bytes))
        return false;
    memcpy(out, elf->memory + address, len);
    return true;
}

/* Element 'index' of an array at 'address'. */
static bool get_item(const struct core_elf *elf, uint64_t address, uint64_t index, void *out,
                     size_t len)
{
    return index < elf->bytes / len && fits(address, 0, elf->bytes) &&
           get(elf, address + index * len, out, len);
}

static bool put_word(const struct core_elf *elf, uint64_t address, uint64_t word)
{
    if (!fits(address, sizeof(word), elf->bytes))
        return false;
    memcpy(elf->memory + address, &word, sizeof(word));
    return true;
}

/* ---- segments -------------------------------------------------------------------------------- */

/* Reads exactly 'len' bytes; a file that shrinks meanwhile is an error, not a crash. */
static enum rc_code read_at(int fd, const char *path, void *out, size_t len, uint64_t offset,
                            struct rc_error *err)
{
    for (size_t done = 0; done < len;) {
        ssize_t got = pread(fd, (char *)out + done, len - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return rc_fail_errno(err, errno, "cannot read '%s'", path);
        if (got == 0)
            return damaged(path, "it ends too early", err);
        done += (size_t)got;
    }
    return RC_OK;
}

static enum rc_code check_header(const char *path, const Elf64_Ehdr *header, struct rc_error *err)
{
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return rc_fail(err, RC_INVALID, "'%s' is not a shared object: it is not an ELF file", path);
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB)
        return rc_fail(err, RC_INVALID,
                       "'%s' was built for another machine: it is not 64-bit little-endian; build "
                       "it for this one",
                       path);
    if (header->e_machine != MACHINE)
        return rc_fail(err, RC_INVALID,
                       "'%s' was built for another machine (ELF machine %u, this one is %u); build "
                       "it for this one",
                       path, (unsigned)header->e_machine, (unsigned)MACHINE);
    if (header->e_type != ET_DYN)
        return rc_fail(err, RC_INVALID,
                       "'%s' is not a shared object (ELF type %u); link it with -shared", path,
                       (unsigned)header->e_type);
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0 ||
        header->e_phnum > MAX_SEGMENTS)
        return damaged(path, "its program headers make no sense", err);
    return RC_OK;
}

/* Sets the size of the memory that the segments need. */
static enum rc_code measure(const char *path, const Elf64_Phdr *segments, size_t count,
                            uint64_t file_bytes, struct core_elf *elf, struct rc_error *err)
{
    uint64_t end = 0;

    for (size_t i = 0; i < count; i++) {
        const Elf64_Phdr *segment = &segments[i];

        if (segment->p_type != PT_LOAD)
            continue;
        if (segment->p_filesz > segment->p_memsz ||
            !fits(segment->p_offset, segment->p_filesz, file_bytes))
            return damaged(path, "a segment lies outside the file", err);
        if (!fits(segment->p_vaddr, segment->p_memsz, MAX_MEMORY_BYTES))
            return damaged(path, "a segment needs more memory than any plugin may", err);
        if (segment->p_vaddr + segment->p_memsz > end)
            end = segment->p_vaddr + segment->p_memsz;
    }
    if (end == 0)
        return damaged(path, "it has no segments to load", err);
    elf->bytes = (size_t)end;
    return RC_OK;
}

static enum rc_code load(int fd, const char *path, const Elf64_Phdr *segments, size_t count,
                         struct core_elf *elf, struct rc_error *err)
{
    void *memory = mmap(NULL, elf->bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        return rc_fail_errno(err, errno, "cannot get %zu bytes of memory for '%s'", elf->bytes,
                             path);
    elf->memory = memory;
    for (size_t i = 0; i < count; i++) {
        const Elf64_Phdr *segment = &segments[i];

        if (segment->p_type == PT_LOAD &&
            read_at(fd, path, elf->memory + segment->p_vaddr, (size_t)segment->p_filesz,
                    segment->p_offset, err))
            return err->code;
    }
    return RC_OK;
}

/* ---- dynamic section ------------------------------------------------------------------------- */

static void take_dynamic_entry(struct core_elf *elf, struct dynamic *dynamic,
                               const Elf64_Dyn *entry)
{
    uint64_t value = entry->d_un.d_val;

    switch (entry->d_tag) {
    case DT_SYMTAB:
        elf->symtab = value;
        break;
    case DT_STRTAB:
        elf->strtab = value;
        break;
    case DT_STRSZ:
        elf->strtab_bytes = value;
        break;
    case DT_HASH:
        elf->hash = value;
        break;
    case DT_GNU_HASH:
        elf->gnu_hash = value;
        break;
    case DT_RELA:
        dynamic->rela = value;
        break;
    case DT_RELASZ:
        dynamic->rela_bytes = value;
        break;
    case TAG_RELR:
        dynamic->relr = value;
        break;
    case TAG_RELR_BYTES:
        dynamic->relr_bytes = value;
        break;
    case DT_FLAGS_1:
        dynamic->flags_1 = value;
        break;
    default:
        break;
    }
}

static enum rc_code read_dynamic(const char *path, const Elf64_Phdr *segments, size_t count,
                                 struct core_elf *elf, struct dynamic *dynamic,
                                 struct rc_error *err)
{
    const Elf64_Phdr *found = NULL;

    for (size_t i = 0; i < count; i++)
        if (segments[i].p_type == PT_DYNAMIC)
            found = &segments[i];
    if (!found)
        return rc_fail(err, RC_INVALID,
                       "'%s' is not a shared object: it has no dynamic section; link it with "
                       "-shared",
                       path);
    for (uint64_t i = 0;; i++) {
        Elf64_Dyn entry;

        if (!get_item(elf, found->p_vaddr, i, &entry, sizeof(entry)))
            return damaged(path, "its dynamic section has no end", err);
        if (entry.d_tag == DT_NULL)
            break;
        take_dynamic_entry(elf, dynamic, &entry);
    }
    if (dynamic->flags_1 & DF_1_PIE)
        return rc_fail(err, RC_INVALID,
                       "'%s' is a program, not a shared object; link it with "
                       "-shared",
                       path);
    if (!elf->symtab || !elf->strtab || !fits(elf->strtab, elf->strtab_bytes, elf->bytes))
        return damaged(path, "its symbol table lies outside its memory", err);
    return RC_OK;
}

/* ---- relocations ----------------------------------------------------------------------------- */

/*
 * The value of a pointer to a symbol. What another object would give is not known here; its place
 * is taken by the object's own first byte, so that the pointer is seen to be set and harmless to
 * look at.
 */
static bool symbol_pointer(const struct core_elf *elf, uint64_t index, int64_t addend,
                           uint64_t *out)
{
    uint64_t base = (uint64_t)(uintptr_t)elf->memory;
    Elf64_Sym symbol;

    if (!get_item(elf, elf->symtab, index, &symbol, sizeof(symbol)))
        return false;
    if (symbol.st_shndx != SHN_UNDEF)
        *out = base + symbol.st_value + (uint64_t)addend;
    else
        *out = ELF64_ST_BIND(symbol.st_info) == STB_WEAK ? 0 : base;
    return true;
}

static bool apply_rela(const struct core_elf *elf, const struct dynamic *dynamic)
{
    uint64_t base = (uint64_t)(uintptr_t)elf->memory;

    if (!fits(dynamic->rela, dynamic->rela_bytes, elf->bytes))
        return false;
    for (uint64_t i = 0; i < dynamic->rela_bytes / sizeof(Elf64_Rela); i++) {
        Elf64_Rela entry;
        uint64_t value;

        if (!get_item(elf, dynamic->rela, i, &entry, sizeof(entry)))
            return false;
        if (ELF64_R_TYPE(entry.r_info) == RELATIVE)
            value = base + (uint64_t)entry.r_addend;
        else if (ELF64_R_TYPE(entry.r_info) != ABSOLUTE)
            continue; /* slots for calls and the like: nothing that data points through */
        else if (!symbol_pointer(elf, ELF64_R_SYM(entry.r_info), entry.r_addend, &value))
            return false;
        if (!put_word(elf, entry.r_offset, value))
            return false;
    }
    return true;
}

static bool add_base(const struct core_elf *elf, uint64_t address)
{
    uint64_t word;

    return get(elf, address, &word, sizeof(word)) &&
           put_word(elf, address, word + (uint64_t)(uintptr_t)elf->memory);
}

/*
 * The compact form of relative relocations: an even word is an address, an odd one a map of the 63
 * words behind.
 */
static bool apply_relr(const struct core_elf *elf, const struct dynamic *dynamic)
{
    uint64_t next = 0;

    if (!fits(dynamic->relr, dynamic->relr_bytes, elf->bytes))
        return false;
    for (uint64_t i = 0; i < dynamic->relr_bytes / sizeof(uint64_t); i++) {
        uint64_t word;

        if (!get_item(elf, dynamic->relr, i, &word, sizeof(word)))
            return false;
        if (!(word & 1)) {
            if (!add_base(elf, word))
                return false;
            next = word + sizeof(word);
            continue;
        }
        for (unsigned bit = 1; bit < 64; bit++)
            if ((word >> bit & 1) && !add_base(elf, next + (bit - 1) * sizeof(word)))
                return false;
        next += 63 * sizeof(word);
    }
    return true;
}

/* ---- open and close -------------------------------------------------------------------------- */

static enum rc_code read_object(int fd, const char *path, struct core_elf *elf,
                                struct rc_error *err)
{
    Elf64_Phdr segments[MAX_SEGMENTS];
    struct dynamic dynamic = { 0 };
    Elf64_Ehdr header;
    struct stat stat;
    uint64_t file_bytes;

    if (fstat(fd, &stat) != 0)
        return rc_fail_errno(err, errno, "cannot look at '%s'", path);
    if (!S_ISREG(stat.st_mode))
        return rc_fail(err, RC_INVALID, "'%s' is not a regular file", path);
    file_bytes = (uint64_t)stat.st_size;
    if (file_bytes < sizeof(header))
        return rc_fail(err, RC_INVALID, "'%s' is not a shared object: it is not an ELF file", path);
    if (read_at(fd, path, &header, sizeof(header), 0, err) || check_header(path, &header, err))
        return err->code;
    if (!fits(header.e_phoff, header.e_phnum * sizeof(*segments), file_bytes))
        return damaged(path, "its program headers lie outside the file", err);
    if (read_at(fd, path, segments, header.e_phnum * sizeof(*segments), header.e_phoff, err) ||
        measure(path, segments, header.e_phnum, file_bytes, elf, err) ||
        load(fd, path, segments, header.e_phnum, elf, err) ||
        read_dynamic(path, segments, header.e_phnum, elf, &dynamic, err))
        return err->code;
    /* In the loader's order: the compact ones add to what is there, the others replace it. */
    if (!apply_relr(elf, &dynamic) || !apply_rela(elf, &dynamic))
        return damaged(path, "a relocation lies outside its memory", err);
    return RC_OK;
}

enum rc_code core_elf_open(const char *path, struct core_elf *out, struct rc_error *err)
{
    enum rc_code code;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    *out = (struct core_elf){ .memory = NULL };
    if (fd < 0)
        return rc_fail_errno(err, errno, "cannot open '%s'", path);
    code = read_object(fd, path, out, err);
    (void)close(fd);
    if (code)
        core_elf_close(out);
    return code;
}

void core_elf_close(struct core_elf *elf)
{
    if (elf->memory)
        (void)munmap(elf->memory, elf->bytes);
    *elf = (struct core_elf){ .memory = NULL };
}

/* ---- symbols --------------------------------------------------------------------------------- */

/* Whether symbol 'index' is the wanted, defined variable; then '*out' is its address. */
static bool is_variable(const struct core_elf *elf, uint64_t index, const char *name, size_t bytes,
                        const void **out)
{
    size_t name_bytes = strlen(name) + 1;
    Elf64_Sym symbol;
    int type;

    if (!get_item(elf, elf->symtab, index, &symbol, sizeof(symbol)))
        return false;
    type = ELF64_ST_TYPE(symbol.st_info);
    if (symbol.st_shndx == SHN_UNDEF || (type != STT_OBJECT && type != STT_NOTYPE))
        return false;
    if (!fits(symbol.st_name, name_bytes, elf->strtab_bytes) ||
        memcmp(elf->memory + elf->strtab + symbol.st_name, name, name_bytes) != 0)
        return false;
    if (!fits(symbol.st_value, bytes, elf->bytes))
        return false;
    *out = elf->memory + symbol.st_value;
    return true;
}

/* The classic table: counts, buckets, then a chain that runs through all symbols. */
static const void *find_classic(const struct core_elf *elf, const char *name, size_t bytes)
{
    uint32_t counts[2];
    const void *found = NULL;

    if (!get(elf, elf->hash, counts, sizeof(counts)))
        return NULL;
    for (uint32_t i = 1; i < counts[1] && i < elf->bytes / sizeof(Elf64_Sym); i++)
        if (is_variable(elf, i, name, bytes, &found))
            return found;
    return NULL;
}

static const void *find_gnu(const struct core_elf *elf, const char *name, size_t bytes)
{
    struct {
        uint32_t buckets, first_symbol, bloom_words, bloom_shift;
    } head;
    uint64_t buckets, chains;
    uint32_t hash = 5381, index, link = 0;
    const void *found = NULL;

    for (const char *c = name; *c; c++)
        hash = hash * 33 + (unsigned char)*c;
    if (!get(elf, elf->gnu_hash, &head, sizeof(head)) || head.buckets == 0)
        return NULL;
    buckets = elf->gnu_hash + sizeof(head) + (uint64_t)head.bloom_words * sizeof(uint64_t);
    chains = buckets + (uint64_t)head.buckets * sizeof(uint32_t);
    if (!get_item(elf, buckets, hash % head.buckets, &index, sizeof(index)))
        return NULL;
    /* A chain ends with an odd link; a bucket that is empty holds 0. */
    for (; index >= head.first_symbol && index != 0 && !(link & 1); index++) {
        if (!get_item(elf, chains, index - head.first_symbol, &link, sizeof(link)))
            return NULL;
        if ((link | 1) == (hash | 1) && is_variable(elf, index, name, bytes, &found))
            return found;
    }
    return NULL;
}

const void *core_elf_variable(const struct core_elf *elf, const char *name, size_t bytes)
{
    const void *found = elf->gnu_hash ? find_gnu(elf, name, bytes) : NULL;

    return found || !elf->hash ? found : find_classic(elf, name, bytes);
}
