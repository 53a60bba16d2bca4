/* The lists that a request can be in: a lane, those that wait to be sent again, those that are on the wire. */
#include "aws/s3_private.h"

void s3_queue_put(struct s3_queue *q, struct s3_request *r, enum s3_state state) {
	r->state = state;
	r->next = NULL;
	r->prev = q->last;
	if (q->last)
		q->last->next = r;
	else
		q->first = r;
	q->last = r;
	q->count++;
}

static void take(struct s3_queue *q, struct s3_request *r) {
	if (r->prev)
		r->prev->next = r->next;
	else
		q->first = r->next;
	if (r->next)
		r->next->prev = r->prev;
	else
		q->last = r->prev;
	r->next = r->prev = NULL;
	r->state = S3_IDLE;
	q->count--;
}

void s3_queue_leave(struct s3_request *r) {
	struct s3 *s3 = r->op->s3;

	switch (r->state) {
	case S3_IDLE: break;
	case S3_QUEUED: take(&s3->lanes[r->lane], r); break;
	case S3_WAITING: take(&s3->waiting, r); break;
	case S3_SENT:
		take(&s3->sent, r);
		if (r->lane == S3_LANE_BULK) s3->sent_bulk--;
		break;
	}
}
