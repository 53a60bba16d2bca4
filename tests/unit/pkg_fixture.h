#pragma once
/* Stubs of both package managers and of what they ask. */
#include "stub.h"
#include "sys/pkg_impl.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define ANSWERS_MAX 8
static const char *const tools[] = {"apt-get", "apt-cache", "dpkg", "dpkg-query", "dnf", "rpm", NULL};

/* What `apt-get -s upgrade` says. */
static const char simulation[] =
	"Reading package lists...\n"
	"3 upgraded, 1 newly installed, 0 to remove and 0 not upgraded.\n"
	"Inst libssl3 [3.0.2-0ubuntu1.18] (3.0.2-0ubuntu1.20 Ubuntu:22.04/jammy-updates, Ubuntu:22.04/jammy-security "
	"[amd64])\n"
	"Inst linux-modules-6.8.0-1030-aws (6.8.0-1030.32 Ubuntu:22.04/jammy-updates [amd64])\n"
	"Inst linux-aws [6.8.0.1029.31] (6.8.0.1030.32 Ubuntu:22.04/jammy-security [amd64])\n"
	"Inst tzdata [2024a-0] (2025b-0 Ubuntu:22.04/jammy-updates [all]) []\n"
	"Conf libssl3 (3.0.2-0ubuntu1.20 Ubuntu:22.04/jammy-updates [amd64])\n";
