/* A CUDA driver without a GPU: its memory is the host's, its streams run at once. It checks what it is given,
 * and refuses calls from threads without a context. For test_bindings.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS 4096
#define TOTAL (64u << 20)
#define NEEDS_CONTEXT if (current != CONTEXT) return INVALID_CONTEXT

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_DEVICE = 101, INVALID_IMAGE = 200 };
enum { INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600 };
enum { CONTEXT = 0xC0, MODULE = 0xD0, FUNCTION = 0xF0, GRAPH = 0xE0, FIRST_HANDLE = 0x1000 };
typedef int Result;
typedef uint64_t Handle;

/* What Python reads back */
int64_t launched[12];
int shared_allowed, queries, graphs, graph_launches;

static struct { char *start; size_t size; } blocks[BLOCKS];
static Handle last_handle = FIRST_HANDLE;
static Handle capturing;
static size_t used;
static __thread Handle current;

static int known(Handle h) { return h == 1 || (h > FIRST_HANDLE && h <= last_handle); }

Result cuInit(unsigned flags) { return flags ? INVALID_VALUE : SUCCESS; }
Result cuDriverGetVersion(int *version) { *version = 13000; return SUCCESS; }
Result cuDeviceGetCount(int *count) { *count = 1; return SUCCESS; }
Result cuDeviceGet(int *device, int index) { *device = index; return index ? INVALID_DEVICE : SUCCESS; }
Result cuDeviceGetName(char *name, int size, int device) { snprintf(name, size, "Fake GPU"); return SUCCESS; }
Result cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = TOTAL; return SUCCESS; }
Result cuDeviceGetAttribute(int *value, int attribute, int device) {
    switch (attribute) {
    case 75: *value = 9; return SUCCESS;      /* compute capability, major */
    case 76: *value = 0; return SUCCESS;      /* minor */
    case 16: *value = 132; return SUCCESS;    /* multiprocessors */
    case 97: *value = 232448; return SUCCESS; /* shared memory of a block, opt-in */
    }
    return INVALID_VALUE;
}
Result cuDevicePrimaryCtxRetain(Handle *context, int device) { *context = CONTEXT; return SUCCESS; }
Result cuCtxSetCurrent(Handle context) { current = context; return context == CONTEXT ? SUCCESS : INVALID_CONTEXT; }
Result cuCtxSynchronize(void) { NEEDS_CONTEXT; return SUCCESS; }

Result cuMemGetInfo_v2(size_t *free_, size_t *total) { NEEDS_CONTEXT; *free_ = TOTAL - used; *total = TOTAL; return SUCCESS; }
Result cuMemAlloc_v2(Handle *address, size_t size) {
    NEEDS_CONTEXT;
    if (size == 0) return INVALID_VALUE;
    if (used + size > TOTAL) return OUT_OF_MEMORY;
    for (int i = 0; i < BLOCKS; i++)
        if (!blocks[i].start) {
            blocks[i].start = aligned_alloc(512, (size + 511) / 512 * 512);
            blocks[i].size = size;
            used += size;
            *address = (Handle)blocks[i].start;
            return SUCCESS;
        }
    return OUT_OF_MEMORY;
}
Result cuMemFree_v2(Handle address) {
    NEEDS_CONTEXT;
    for (int i = 0; i < BLOCKS; i++)
        if (blocks[i].start && (Handle)blocks[i].start == address) {
            free(blocks[i].start);
            used -= blocks[i].size;
            blocks[i].start = NULL;
            return SUCCESS;
        }
    return INVALID_VALUE;
}
Result cuMemHostAlloc(void **address, size_t size, unsigned flags) {
    NEEDS_CONTEXT;
    *address = malloc(size);
    return flags == 1 ? SUCCESS : INVALID_VALUE; /* portable */
}
Result cuMemFreeHost(void *address) { NEEDS_CONTEXT; free(address); return SUCCESS; }
Result cuMemcpyAsync(Handle to, Handle from, size_t size, Handle stream) {
    NEEDS_CONTEXT;
    if (!known(stream)) return INVALID_HANDLE;
    memcpy((void *)to, (void *)from, size);
    return SUCCESS;
}
Result cuMemsetD8Async(Handle to, unsigned char value, size_t size, Handle stream) {
    NEEDS_CONTEXT;
    if (!known(stream)) return INVALID_HANDLE;
    memset((void *)to, value, size);
    return SUCCESS;
}
Result cuPointerGetAttribute(void *value, int attribute, Handle address) {
    for (int i = 0; i < BLOCKS && attribute == 9; i++)
        if (blocks[i].start && address >= (Handle)blocks[i].start && address < (Handle)blocks[i].start + blocks[i].size) {
            *(int *)value = 0;
            return SUCCESS;
        }
    return INVALID_VALUE;
}

Result cuStreamCreate(Handle *stream, unsigned flags) {
    NEEDS_CONTEXT;
    *stream = ++last_handle;
    return flags == 1 ? SUCCESS : INVALID_VALUE; /* not blocked by the default stream */
}
Result cuStreamSynchronize(Handle stream) { NEEDS_CONTEXT; return known(stream) ? SUCCESS : INVALID_HANDLE; }
Result cuStreamWaitEvent(Handle stream, Handle event, unsigned flags) {
    NEEDS_CONTEXT;
    return known(stream) && known(event) && event != 1 && !flags ? SUCCESS : INVALID_HANDLE;
}
Result cuEventCreate(Handle *event, unsigned flags) {
    NEEDS_CONTEXT;
    *event = ++last_handle;
    return flags == 0 || flags == 2 ? SUCCESS : INVALID_VALUE; /* with timing, without */
}
Result cuEventRecord(Handle event, Handle stream) { NEEDS_CONTEXT; return known(stream) && known(event) ? SUCCESS : INVALID_HANDLE; }
Result cuEventQuery(Handle event) { NEEDS_CONTEXT; return ++queries % 3 ? SUCCESS : NOT_READY; }
Result cuEventSynchronize(Handle event) { NEEDS_CONTEXT; return known(event) ? SUCCESS : INVALID_HANDLE; }
Result cuEventElapsedTime(float *ms, Handle start, Handle end) { *ms = 1.5f; return SUCCESS; }
Result cuEventElapsedTime_v2(float *ms, Handle start, Handle end) { *ms = 1.5f; return SUCCESS; }

Result cuModuleLoadData(Handle *module, const char *image) {
    NEEDS_CONTEXT;
    *module = MODULE;
    return memcmp(image, "\x7f" "ELF", 4) ? INVALID_IMAGE : SUCCESS;
}
Result cuModuleGetFunction(Handle *function, Handle module, const char *name) {
    NEEDS_CONTEXT;
    *function = FUNCTION;
    return module == MODULE && !strcmp(name, "entry") ? SUCCESS : NOT_FOUND;
}
Result cuFuncSetAttribute(Handle function, int attribute, int value) {
    NEEDS_CONTEXT;
    shared_allowed = value;
    return function == FUNCTION && attribute == 8 ? SUCCESS : INVALID_VALUE;
}
/* The kernel's parameters are (pointer, int32, float, int64) */
Result cuLaunchKernel(Handle function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                      unsigned shared, Handle stream, void **words, void **extra) {
    NEEDS_CONTEXT;
    if (function != FUNCTION || !known(stream) || extra || !words) return INVALID_VALUE;
    int64_t seen[12] = {gx, gy, gz, bx, by, bz, shared, stream, *(int64_t *)words[0], *(int32_t *)words[1],
                        (int64_t)(2 * *(float *)words[2]), *(int64_t *)words[3]};
    memcpy(launched, seen, sizeof launched);
    return SUCCESS;
}

Result cuStreamBeginCapture_v2(Handle stream, int mode) {
    NEEDS_CONTEXT;
    if (stream == 1 || !known(stream) || capturing || mode != 2) return INVALID_VALUE; /* relaxed */
    capturing = stream;
    return SUCCESS;
}
Result cuStreamEndCapture(Handle stream, Handle *graph) {
    NEEDS_CONTEXT;
    if (stream != capturing) return INVALID_VALUE;
    capturing = 0;
    *graph = GRAPH;
    graphs++;
    return SUCCESS;
}
Result cuGraphInstantiateWithFlags(Handle *executable, Handle graph, unsigned long long flags) {
    NEEDS_CONTEXT;
    *executable = GRAPH + 1;
    graphs++;
    return graph == GRAPH && !flags ? SUCCESS : INVALID_VALUE;
}
Result cuGraphLaunch(Handle executable, Handle stream) {
    NEEDS_CONTEXT;
    graph_launches++;
    return executable == GRAPH + 1 && known(stream) ? SUCCESS : INVALID_VALUE;
}
Result cuGraphExecDestroy(Handle executable) { graphs--; return executable == GRAPH + 1 ? SUCCESS : INVALID_VALUE; }
Result cuGraphDestroy(Handle graph) { graphs--; return graph == GRAPH ? SUCCESS : INVALID_VALUE; }

Result cuGetErrorString(int code, const char **text) { *text = "a reason"; return SUCCESS; }
Result cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *status) {
    char versioned[128];
    void *self = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    snprintf(versioned, sizeof versioned, "%s_v2", name);
    *function = dlsym(self, versioned);
    if (!*function) *function = dlsym(self, name);
    return *function ? SUCCESS : NOT_FOUND;
}
