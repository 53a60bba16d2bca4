#pragma once
/*
 * The kernel log, read for what NVIDIA's driver and the module loader said in it. /dev/kmsg gives one record a read,
 * "4,1227,437812449932,-;text" with \xNN for bytes that do not print (Documentation/ABI/testing/dev-kmsg); a --root
 * tree has a file of such records or of plain lines. Memory and time are bounded whatever the log holds.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct fs_root;

enum gpu_kmsg_kind {
	GPU_KMSG_XID,		   /* number: the Xid; "fallen off the bus" is 79 */
	GPU_KMSG_SXID,		   /* number: the SXid of an NVSwitch */
	GPU_KMSG_OPEN_UNSUPPORTED, /* the open module does not know a GPU without GSP */
	GPU_KMSG_UNSUPPORTED,	   /* this driver release does not know the GPU */
	GPU_KMSG_INIT_FAILED,
	GPU_KMSG_MISMATCH, /* a program came with libraries of another version */
	GPU_KMSG_UNSIGNED, /* the kernel refused a module for its signature */
};

/** Longest text kept of an event: a line of a terminal or two. */
#define GPU_KMSG_TEXT_MAX 256
/** Events kept; the oldest make room for newer ones. 8 GPUs with a dozen different Xids each. */
#define GPU_KMSG_EVENTS_MAX 128
/** Longest line that is looked at, the kernel's own limit with its prefix (PRINTKRB_RECORD_MAX is 1024). */
#define GPU_KMSG_LINE_MAX 4096

struct gpu_kmsg_event {
	enum gpu_kmsg_kind kind;
	unsigned number, count;	      /* count: how often, the same kind, number and address */
	bool is_fatal;		      /* it says "Fatal" */
	char address[16];	      /* "0000:00:1e.0", or "" */
	char text[GPU_KMSG_TEXT_MAX]; /* the newest such line from "NVRM:" on, printable ASCII */
};

struct gpu_kmsg {
	struct gpu_kmsg_event events[GPU_KMSG_EVENTS_MAX];
	size_t count;
	size_t forgotten; /* events that made room */
	bool has_log;	  /* there was one to read */
	bool is_denied;	  /* there is one, but not for us */
	bool has_lost;	  /* records were overwritten before we read them */
	bool is_cut;	  /* it is larger than the limits; the newest part of a file was read */
	/* A message over several lines that may become an event. */
	char wrapped[2 * GPU_KMSG_TEXT_MAX];
	unsigned wrapped_lines;
};

/** Takes one record of n bytes: the prefix and \xNN are undone, each line in it is looked at. */
void gpu_kmsg_record(struct gpu_kmsg *log, const char *record, size_t n);

/** Like read(2) on /dev/kmsg: one record, 0 at the end of a file, or -1 and errno. */
typedef ssize_t (*gpu_kmsg_read_fn)(void *arg, void *data, size_t size);

/** Takes records until the newest (EAGAIN), going on after EPIPE (overwritten), at most 64 MiB and 1 s. */
void gpu_kmsg_stream(struct gpu_kmsg *log, gpu_kmsg_read_fn read_fn, void *arg);

/** Reads /dev/kmsg, or /var/log/kmsg when that is no log. A log that is absent or unreadable is no error: see log. */
void gpu_kmsg_read(struct gpu_kmsg *log, const struct fs_root *root);
