#pragma once
/*
 * Ears: who is told of a run outside the machine. Each knows what it would say of a word and whether that is news; when
 * it is said, and how often it is tried, is decided for all of them in report/beat. All run in the one process of
 * report/remote, in the order of the list: an ear that hangs holds up the others for its own timeout at most.
 */
#include "base/cleanup.h"
#include "io/retry.h"
#include "report/beat.h"
#include "report/word.h"

struct aws;
struct err;
struct report_remote_conf;

enum ear_need { EAR_NOTHING, EAR_LATER, EAR_NOW };

/** The concrete ones embed this as their first member. */
struct ear {
	const char *name; /* "EC2 tags": of its one warning */
	const struct beat_policy *policy;
	/** What there is to say beyond what was sent. */
	enum ear_need (*need)(const struct ear *ear, const struct word *word);
	/** One attempt (retry_once), bounded in time; what is sent is remembered. Before the next there may be a newer
	 * word. */
	int (*send)(struct ear *ear, const struct word *word, struct err *err);
	void (*free)(struct ear *ear);
};

/** What the ears share of the reporter's process: one aws context, opened when it is first needed. */
struct ear_host {
	const struct report_remote_conf *conf;
	struct aws *aws;
};

/** The host's aws context. */
CHECK_RESULT int ear_aws(struct ear_host *host, struct aws **ret_aws, struct err *err);

/** Tags on the own instance: all that changed in one CreateTags call. host is borrowed. */
struct ear *ear_tags(struct ear_host *host);

/** A POST of JSON to a URL at every change of state. */
struct ear *ear_webhook(struct ear_host *host);

/** One CloudFormation signal: SUCCESS when the run is ready, FAILURE when it cannot become so. */
struct ear *ear_stack(struct ear_host *host);
