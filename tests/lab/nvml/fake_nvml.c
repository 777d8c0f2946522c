/* A stand-in for libnvidia-ml.so.1, driven by the file that GPUHOP_FAKE_NVML names.
 *
 * The file is read anew at every call, so that a test changes the "hardware" while a probe runs.
 * Lines are KEY=VALUE; gpu.N.mig.M.* are the keys of a MIG device:
 *
 *   driver=550.54.15     cuda=12040     count=2
 *   error.nvmlInit=18    return this nvmlReturn_t; "hang" hangs for as long as the file says so
 *   error=15             for every function but nvmlInit
 *   gpu.0.error=15       for every function on this GPU, its handle included
 *   gpu.0.error.nvmlDeviceGetFanSpeed=3
 *   gpu.0.name= uuid= utilization= memory_used= memory_total= temperature= power= power_limit=
 *   gpu.0.fan= clock= throttle= ecc=       (bytes, milliwatts, MHz, a bit mask)
 *   gpu.0.pcie_generation= pcie_generation_max= pcie_width= pcie_width_max=
 *   gpu.0.compute=PID:BYTES PID:-          (-: not available); also graphics=, mps=
 *   gpu.0.mig=2          MIG is on, with that many instances
 *
 * Built with OLD it lacks what drivers before R450 lack; with WIDE its _v3 process lists have the
 * 32-byte struct of some R535 drivers, with NARROW the 16-byte one; with MIDDLE there is no _v3.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int Return;
enum {
    SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9
};
enum { MAX_GPUS = 32, MAX_MIG = 8, TEXT = 1 << 16 };

typedef struct { int gpu, mig; } Device; /* mig: -1 for the GPU itself */
typedef struct { unsigned int pid; unsigned long long memory; } ProcessV1;
typedef struct { unsigned int pid; unsigned long long memory; unsigned int gi, ci; } ProcessV2;
typedef struct {
    unsigned int pid; unsigned long long memory; unsigned int gi, ci; unsigned long long sealed;
} ProcessWide;
typedef struct { unsigned int gpu, memory; } Utilization;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } MemoryV2;
typedef struct { unsigned int version, sensor; int temperature; } Temperature;

static Device devices[MAX_GPUS][MAX_MIG + 1];
static int started;

static int read_file(char *text)
{
    const char *path = getenv("GPUHOP_FAKE_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file)
        return 0;
    size_t size = fread(text, 1, TEXT - 1, file);
    text[size] = 0;
    fclose(file);
    return 1;
}

/* The value of `key` in the file, into `value`; 0 where there is none. */
static int look_up(const char *key, char *value, size_t size)
{
    char text[TEXT];
    size_t length = strlen(key);
    if (!read_file(text))
        return 0;
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
        if (!strncmp(line, key, length) && line[length] == '=') {
            snprintf(value, size, "%s", line + length + 1);
            return 1;
        }
    return 0;
}

/* SUCCESS, or the code that the file sets for `key`; hangs for as long as it says so. */
static Return failure(const char *key)
{
    char value[64];
    while (look_up(key, value, sizeof value)) {
        if (strcmp(value, "hang"))
            return atoi(value);
        usleep(20000);
    }
    return SUCCESS;
}

static void name_key(char *key, size_t size, const Device *device, const char *what)
{
    if (device->mig < 0)
        snprintf(key, size, "gpu.%d.%s", device->gpu, what);
    else
        snprintf(key, size, "gpu.%d.mig.%d.%s", device->gpu, device->mig, what);
}

/* What every function on a device checks first. */
static Return check(const Device *device, const char *function)
{
    char key[128], what[96];
    Return code;
    if (!started)
        return UNINITIALIZED;
    if ((code = failure("error")))
        return code;
    name_key(key, sizeof key, device, "error");
    if ((code = failure(key)))
        return code;
    snprintf(what, sizeof what, "error.%s", function);
    name_key(key, sizeof key, device, what);
    return failure(key);
}

static Return text_of(const Device *device, const char *function, const char *what, char *to,
                      unsigned int size)
{
    char key[128];
    Return code = check(device, function);
    if (code)
        return code;
    name_key(key, sizeof key, device, what);
    return look_up(key, to, size) ? SUCCESS : NOT_SUPPORTED;
}

static Return number_of(const Device *device, const char *function, const char *what,
                        unsigned long long *number)
{
    char value[64];
    Return code = text_of(device, function, what, value, sizeof value);
    if (!code)
        *number = strtoull(value, NULL, 0);
    return code;
}

static Return small_of(const Device *device, const char *function, const char *what,
                       unsigned int *number)
{
    unsigned long long value;
    Return code = number_of(device, function, what, &value);
    if (!code)
        *number = (unsigned int)value;
    return code;
}

/* The library and the driver */

Return nvmlInitWithFlags(unsigned int flags)
{
    char text[TEXT];
    (void)flags;
    if (!read_file(text))
        return DRIVER_NOT_LOADED;
    Return code = failure("error.nvmlInit");
    if (!code)
        started++;
    return code;
}

Return nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

Return nvmlShutdown(void)
{
    if (!started)
        return UNINITIALIZED;
    started--;
    return SUCCESS;
}

const char *nvmlErrorString(Return code)
{
    (void)code;
    return "stand-in";
}

static Return system_text(const char *key, char *to, unsigned int size)
{
    Return code = started ? failure("error") : UNINITIALIZED;
    if (code)
        return code;
    return look_up(key, to, size) ? SUCCESS : NOT_SUPPORTED;
}

static Return system_number(const char *key, int *number)
{
    char value[64];
    Return code = system_text(key, value, sizeof value);
    if (!code)
        *number = atoi(value);
    return code;
}

Return nvmlSystemGetDriverVersion(char *to, unsigned int size)
{
    return system_text("driver", to, size);
}

#ifndef OLD
Return nvmlSystemGetCudaDriverVersion_v2(int *version) { return system_number("cuda", version); }
#endif
Return nvmlSystemGetCudaDriverVersion(int *version) { return system_number("cuda", version); }

Return nvmlDeviceGetCount_v2(unsigned int *count)
{
    return system_number("count", (int *)count);
}

Return nvmlDeviceGetHandleByIndex_v2(unsigned int index, Device **device)
{
    if (index >= MAX_GPUS)
        return INVALID_ARGUMENT;
    *device = &devices[index][MAX_MIG];
    (*device)->gpu = (int)index;
    (*device)->mig = -1;
    return check(*device, "nvmlDeviceGetHandleByIndex");
}

/* Figures */

Return nvmlDeviceGetName(Device *device, char *to, unsigned int size)
{
    return text_of(device, "nvmlDeviceGetName", "name", to, size);
}

Return nvmlDeviceGetUUID(Device *device, char *to, unsigned int size)
{
    return text_of(device, "nvmlDeviceGetUUID", "uuid", to, size);
}

Return nvmlDeviceGetUtilizationRates(Device *device, Utilization *rates)
{
    rates->memory = 0;
    return small_of(device, "nvmlDeviceGetUtilizationRates", "utilization", &rates->gpu);
}

Return nvmlDeviceGetMemoryInfo(Device *device, Memory *memory)
{
    Return code = number_of(device, "nvmlDeviceGetMemoryInfo", "memory_total", &memory->total);
    if (!code)
        code = number_of(device, "nvmlDeviceGetMemoryInfo", "memory_used", &memory->used);
    if (!code)
        memory->free = memory->total - memory->used;
    return code;
}

#ifndef OLD
Return nvmlDeviceGetMemoryInfo_v2(Device *device, MemoryV2 *memory)
{
    Memory plain;
    Return code = nvmlDeviceGetMemoryInfo(device, &plain);
    memory->total = plain.total;
    memory->used = plain.used;
    memory->free = plain.free;
    memory->reserved = 0;
    return code;
}

Return nvmlDeviceGetTemperatureV(Device *device, Temperature *temperature)
{
    return small_of(device, "nvmlDeviceGetTemperature", "temperature",
                    (unsigned int *)&temperature->temperature);
}
#endif

Return nvmlDeviceGetTemperature(Device *device, int sensor, unsigned int *temperature)
{
    (void)sensor;
    return small_of(device, "nvmlDeviceGetTemperature", "temperature", temperature);
}

Return nvmlDeviceGetPowerUsage(Device *device, unsigned int *power)
{
    return small_of(device, "nvmlDeviceGetPowerUsage", "power", power);
}

Return nvmlDeviceGetEnforcedPowerLimit(Device *device, unsigned int *power)
{
    return small_of(device, "nvmlDeviceGetEnforcedPowerLimit", "power_limit", power);
}

Return nvmlDeviceGetFanSpeed(Device *device, unsigned int *speed)
{
    return small_of(device, "nvmlDeviceGetFanSpeed", "fan", speed);
}

Return nvmlDeviceGetCurrPcieLinkGeneration(Device *device, unsigned int *generation)
{
    return small_of(device, "nvmlDeviceGetCurrPcieLinkGeneration", "pcie_generation", generation);
}

Return nvmlDeviceGetMaxPcieLinkGeneration(Device *device, unsigned int *generation)
{
    return small_of(device, "nvmlDeviceGetMaxPcieLinkGeneration", "pcie_generation_max",
                    generation);
}

Return nvmlDeviceGetCurrPcieLinkWidth(Device *device, unsigned int *width)
{
    return small_of(device, "nvmlDeviceGetCurrPcieLinkWidth", "pcie_width", width);
}

Return nvmlDeviceGetMaxPcieLinkWidth(Device *device, unsigned int *width)
{
    return small_of(device, "nvmlDeviceGetMaxPcieLinkWidth", "pcie_width_max", width);
}

Return nvmlDeviceGetClockInfo(Device *device, int type, unsigned int *clock)
{
    (void)type;
    return small_of(device, "nvmlDeviceGetClockInfo", "clock", clock);
}

#ifndef OLD
Return nvmlDeviceGetCurrentClocksEventReasons(Device *device, unsigned long long *reasons)
{
    return number_of(device, "nvmlDeviceGetCurrentClocksEventReasons", "throttle", reasons);
}
#endif

Return nvmlDeviceGetCurrentClocksThrottleReasons(Device *device, unsigned long long *reasons)
{
    return number_of(device, "nvmlDeviceGetCurrentClocksThrottleReasons", "throttle", reasons);
}

Return nvmlDeviceGetTotalEccErrors(Device *device, int type, int counter,
                                   unsigned long long *count)
{
    (void)type, (void)counter;
    return number_of(device, "nvmlDeviceGetTotalEccErrors", "ecc", count);
}

/* MIG */

#ifndef OLD
Return nvmlDeviceGetMigMode(Device *device, unsigned int *current, unsigned int *pending)
{
    Return code = small_of(device, "nvmlDeviceGetMigMode", "mig", current);
    if (!code)
        *current = *pending = 1;
    return code;
}

Return nvmlDeviceGetMaxMigDeviceCount(Device *device, unsigned int *count)
{
    *count = MAX_MIG;
    return check(device, "nvmlDeviceGetMaxMigDeviceCount");
}

Return nvmlDeviceGetMigDeviceHandleByIndex(Device *device, unsigned int index, Device **mig)
{
    unsigned int count;
    Return code = small_of(device, "nvmlDeviceGetMigDeviceHandleByIndex", "mig", &count);
    if (code)
        return code;
    if (index >= count || index >= MAX_MIG)
        return NOT_FOUND;
    *mig = &devices[device->gpu][index];
    (*mig)->gpu = device->gpu;
    (*mig)->mig = (int)index;
    return SUCCESS;
}
#endif

/* Processes. `size` is that of the struct to write. */

static Return processes(Device *device, const char *function, const char *what,
                        unsigned int *count, char *to, size_t size)
{
    char list[TEXT] = "", key[128];
    unsigned int found = 0, room = *count;
    Return code = check(device, function);
    if (code)
        return code;
    name_key(key, sizeof key, device, what);
    look_up(key, list, sizeof list);
    for (char *rest = list, *word; (word = strsep(&rest, " "));) {
        ProcessWide one = {0, ~0ULL, ~0U, ~0U, 0};
        char *memory = strchr(word, ':');
        if (!memory)
            continue;
        one.pid = (unsigned int)atoi(word);
        if (memory[1] != '-')
            one.memory = strtoull(memory + 1, NULL, 0);
        if (to && found < room)
            memcpy(to + found * size, &one, size);
        found++;
    }
    *count = found;
    return found > room ? INSUFFICIENT_SIZE : SUCCESS;
}

#define LISTS(KIND, WHAT)                                                                          \
    Return nvmlDeviceGet##KIND##RunningProcesses(Device *device, unsigned int *count, void *to)    \
    {                                                                                              \
        return processes(device, "nvmlDeviceGet" #KIND "RunningProcesses", WHAT, count, to,        \
                         sizeof(ProcessV1));                                                       \
    }
LISTS(Compute, "compute")
LISTS(Graphics, "graphics")
LISTS(MPSCompute, "mps")

#if defined(WIDE)
#define NEWEST sizeof(ProcessWide)
#elif defined(NARROW)
#define NEWEST sizeof(ProcessV1)
#else
#define NEWEST sizeof(ProcessV2)
#endif

#define NEW_LISTS(KIND, WHAT, VERSION, SIZE)                                                       \
    Return nvmlDeviceGet##KIND##RunningProcesses_##VERSION(Device *device, unsigned int *count,    \
                                                           void *to)                               \
    {                                                                                              \
        return processes(device, "nvmlDeviceGet" #KIND "RunningProcesses", WHAT, count, to, SIZE); \
    }
#ifndef OLD
NEW_LISTS(Compute, "compute", v2, sizeof(ProcessV2))
NEW_LISTS(Graphics, "graphics", v2, sizeof(ProcessV2))
NEW_LISTS(MPSCompute, "mps", v2, sizeof(ProcessV2))
#ifndef MIDDLE
NEW_LISTS(Compute, "compute", v3, NEWEST)
NEW_LISTS(Graphics, "graphics", v3, NEWEST)
NEW_LISTS(MPSCompute, "mps", v3, NEWEST)
#endif
#endif
