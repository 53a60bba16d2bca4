#pragma once
/*
 * Files of packaging/ that are compiled in by agent/embed.sh, so that what dsagent writes is what packages bring.
 */

extern const char packaged_service[];	/* dsagent.service */
extern const char packaged_user_data[]; /* user-data.sh */
extern const char packaged_motd[];	/* 99-dsagent */
