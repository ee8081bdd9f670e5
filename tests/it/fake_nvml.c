/* A libnvidia-ml.so.1 of few functions, for what a well-behaved one never does. FAKE_NVML says what: words of
   `hang:CALL:DEVICE`, `crash:CALL:DEVICE`, `error:CALL:CODE`, `count:N`, `text:MODE`, `change`, `print`. DEVICE -1 is the
   system. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *word(const char *kind, const char *call) {
    char key[80];
    snprintf(key, sizeof key, "%s:%s:", kind, call);
    const char *all = getenv("FAKE_NVML");
    const char *found = all ? strstr(all, key) : NULL;
    return found ? found + strlen(key) : NULL;
}

static int act(const char *call, long device) {
    const char *at;
    if ((at = word("hang", call)) && atol(at) == device)
        for (;;) sleep(1000);
    if ((at = word("crash", call)) && atol(at) == device) {
        volatile int *nowhere = NULL;
        *nowhere = 1;
    }
    if ((at = word("error", call))) return atoi(at);
    return 0;
}

static int has(const char *text) {
    const char *all = getenv("FAKE_NVML");
    return all && strstr(all, text);
}

#define INDEX(device) ((long)(device)-1)

#ifndef NO_INIT
int nvmlInit_v2(void) {
    if (has("print")) {
        puts("{\"device\":0,\"call\":\"nvmlDeviceGetName\",\"value\":\"printed\"}");
        fflush(stdout);
    }
    return act("nvmlInit_v2", -1);
}
#endif

int nvmlDeviceGetCount_v2(unsigned *count) {
    const char *all = getenv("FAKE_NVML");
    const char *at = all ? strstr(all, "count:") : NULL;
    *count = at ? (unsigned)atol(at + 6) : 2;
    return act("nvmlDeviceGetCount_v2", -1);
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    *device = (void *)(long)(index + 1);
    return act("nvmlDeviceGetHandleByIndex_v2", index);
}

int nvmlDeviceGetName(void *device, char *name, unsigned length) {
    if (has("text:unterminated")) {
        memset(name, 'A', length);
    } else if (has("text:4096")) {
        memset(name, 'B', 4096);
        name[4096] = 0;
    } else if (has("text:invalid")) {
        strcpy(name, "NVIDIA \xff\xfe \\ \x1b[31m");
    } else {
        snprintf(name, length, "NVIDIA Fake %ld", INDEX(device));
    }
    return act("nvmlDeviceGetName", INDEX(device));
}

int nvmlDeviceGetUUID(void *device, char *uuid, unsigned length) {
    static int calls;
    snprintf(uuid, length, "GPU-%ld-%d", INDEX(device), has("change") ? ++calls : 0);
    return act("nvmlDeviceGetUUID", INDEX(device));
}

int nvmlDeviceGetSerial(void *device, char *serial, unsigned length) {
    snprintf(serial, length, "%ld", 1000 + INDEX(device));
    return act("nvmlDeviceGetSerial", INDEX(device));
}

int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) {
    *milliwatts = 46120;
    return act("nvmlDeviceGetPowerUsage", INDEX(device));
}

struct pci {
    char legacy[16];
    unsigned domain, bus, device, id, subsystem;
    char bus_id[32];
};

int nvmlDeviceGetPciInfo_v3(void *device, struct pci *pci) {
    memset(pci, 0, sizeof *pci);
    pci->bus = 0x10 + (unsigned)INDEX(device);
    pci->id = 0x233110de;
    pci->subsystem = 0x162610de;
    return act("nvmlDeviceGetPciInfo_v3", INDEX(device));
}

struct report {
    unsigned cec_present, size, cec_size;
    unsigned char nonce[32], report[8192], cec[4096];
};

/* Announces more bytes than the structure has. */
int nvmlDeviceGetConfComputeGpuAttestationReport(void *device, struct report *report) {
    report->size = has("report:long") ? 1u << 30 : 64;
    memcpy(report->report, report->nonce, 32);
    return act("nvmlDeviceGetConfComputeGpuAttestationReport", INDEX(device));
}

#ifdef VIRTUAL
const char yanji_virtual_driver[] = "fake";
#endif
