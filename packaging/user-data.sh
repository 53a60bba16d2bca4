#!/bin/sh
#! User-data: fetches dsagent, checks its SHA-256, has it do the recipe at the end (packed: base64 -d | gzip -dc shows it).
# For whoever pastes user-data into the console: fill in three values and the recipe below; all of it together may have
# 16,384 bytes. `dsagent userdata` writes the same script without these comments, the values filled in and the recipe packed.
#
# Where the program is: s3://BUCKET/KEY, which the instance's role may read, or https://..., a presigned URL too; {arch}
# in it becomes x86_64 or aarch64. One that is on the AMI already is taken as it is; then all three may stay empty.
agent=''
# Their SHA-256, as sha256sum or Get-FileHash prints it; one may stay empty when no such instance is started.
x86_64=''
aarch64=''

umask 077
export HOME="${HOME:-/root}" PATH="${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
imds=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}/latest
arch=$(uname -m)
url=$agent
case $url in *'{arch}'*) url=${url%%'{arch}'*}$arch${url#*'{arch}'} ;; esac
tmp='' why=''

# Instance metadata, version 2 of its protocol.
meta() {
	token=$(curl -fsS -m 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$imds/api/token") &&
		curl -fsS -m 5 -H "X-aws-ec2-metadata-token: $token" "$imds/$1"
}

# On stderr, which cloud-init keeps in /var/log/cloud-init-output.log, and on the console, which `aws ec2 get-console-output`
# shows.
say() {
	echo "dsagent user-data$1" >&2
	[ ! -c /dev/console ] || printf 'dsagent user-data%s\r\n' "$1" >/dev/console 2>/dev/null
}

# The end, and why; in tags too where the aws command can set some.
fail() {
	[ -z "$tmp" ] || rm -f "$tmp"
	say " failed: $1"
	if command -v aws >/dev/null && id=$(meta meta-data/instance-id) && region=$(meta meta-data/placement/region); then
		text=$(printf %.250s "$1" | tr -c 'A-Za-z0-9 ./:_@+-' ' ')
		timeout 60 aws ec2 create-tags --region "$region" --resources "$id" --tags \
			Key=dsagent:status,Value=failed "Key=dsagent:error,Value=$text"
	fi >/dev/null 2>&1
	exit 1
}

# curl signs since 7.75, but with the token of a role and a given hash of the payload only since 7.87.
signs() {
	version=$(curl --version | sed -n '1s/^curl \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
	[ "${version% *}" -gt 7 ] || { [ "${version% *}" = 7 ] && [ "${version#* }" -ge 87 ]; }
}

value() { printf '%s' "$keys" | tr -d '\n' | sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p"; }

header() { printf '%s\n' "$head" | sed -n "s/^$1: *//p"; }

# What is at an address, by curl. Of a refusal the server says the reason in its answer, S3 as Code and Message.
get() {
	status=$(curl -sS --connect-timeout 10 -m 600 -o "$tmp" -w '%{http_code}' "$@") || return
	[ "$status" != 200 ] || return 0
	said=$(sed -n 's/.*<Code>\([^<]*\)<.*<Message>\([^<]*[^<.]\)[.]*<.*/ \1: \2/p' "$tmp")
	echo "HTTP $status$said" >&2
	return 1
}

# From S3 by curl, with the role's keys; they go by standard input, where no list of processes shows them.
signed() {
	role=$(meta meta-data/iam/security-credentials/) || { echo 'the instance has no role, or no metadata' >&2; return 1; }
	keys=$(meta "meta-data/iam/security-credentials/$role") && region=$(meta meta-data/placement/region) &&
		domain=$(meta meta-data/services/domain) || return
	path=${url#s3://} host=${AWS_ENDPOINT_URL_S3:-https://s3.$region.$domain}
	head=$(curl -sI -m 20 "$host/${path%%/*}" | tr -d '\r')
	there=$(header '[Xx]-[Aa]mz-[Bb]ucket-[Rr]egion')
	[ -z "$there" ] || [ "$there" = "$region" ] || region=$there host=https://s3.$there.$domain
	said=$(get -K - 2>&1 <<EOF
url = "$host/$path"
aws-sigv4 = "aws:amz:$region:s3"
user = "$(value AccessKeyId):$(value SecretAccessKey)"
header = "x-amz-security-token: $(value Token)"
header = "x-amz-content-sha256: UNSIGNED-PAYLOAD"
EOF
	) && return
	case $said in
	*RequestTimeTooSkewed*) said="$said; its clock says $(header '[Dd]ate'), this one $(LC_ALL=C date -u '+%a, %d %b %Y %T GMT')" ;;
	*AccessDenied*) said="$said; the role is $role" ;;
	esac
	echo "$said" >&2
	return 1
}

download() {
	case $url in
	s3://*)
		if command -v aws >/dev/null; then
			region=$(meta meta-data/placement/region) && export AWS_DEFAULT_REGION="$region"
			timeout 600 aws s3 cp --only-show-errors "$url" "$tmp" && return
		fi
		if command -v curl >/dev/null && signs; then signed; return; fi
		command -v aws >/dev/null || echo 'it needs the aws command, or curl 7.87 or newer: take an https:// URL' >&2
		return 1
		;;
	esac
	if command -v curl >/dev/null; then
		get -L --proto "=${url%%:*}" "$url"
	elif command -v wget >/dev/null; then
		said=$(wget -qS -T 60 -O "$tmp" "$url" 2>&1) && return
		code=$? said=$(printf '%s\n' "$said" | sed -n 's/.*HTTP\/[0-9.]* \([0-9]\{3\} .*\)/: HTTP \1/p' | tail -n 1)
		echo "wget ended with $code$said" >&2
		return 1
	else
		echo 'neither curl nor wget is here' >&2
		return 1
	fi
}

# A file beside its final name, in the first folder where programs can be written and run: /usr may be read-only, others
# mounted noexec.
place() {
	for folder in ${DSAGENT_FOLDERS:-/usr/bin /usr/local/bin /opt/dsagent/bin /var/lib/dsagent/bin}; do
		if mkdir -p "$folder" && tmp=$(mktemp "$folder/.dsagent.XXXXXX"); then
			printf '#!/bin/sh\n' >"$tmp" && chmod 755 "$tmp" && "$tmp" && return
			rm -f "$tmp"
		fi
	done 2>/dev/null
	tmp=''
	fail 'no folder that programs can be written to and run from'
}

fetch() {
	case $arch in
	x86_64) sum=$x86_64 ;;
	aarch64) sum=$aarch64 ;;
	*) sum='' ;;
	esac
	[ -n "$agent" ] || fail 'dsagent is not on this AMI, and the user-data names no place to fetch it from'
	sum=$(printf %s "${sum%% *}" | tr A-F a-f)
	[ -n "$sum" ] || fail "the user-data has no SHA-256 of dsagent for $arch"
	place
	for pause in 12 18 24 30 36 ''; do
		if why=$(download 2>&1); then
			got=$(sha256sum <"$tmp")
			[ "${got%% *}" != "$sum" ] || break
			why="its SHA-256 is ${got%% *} and should be $sum"
		else
			# The last line says why; with certificates curl adds some of advice.
			why="download: $(printf '%s\n' "$why" | sed '/^More details here/,$d' | tail -n 1)"
		fi
		[ -n "$pause" ] || fail "${url%%\?*}: $why"
		pause=${DSAGENT_RETRY_SECONDS:-$pause}
		say ": ${url%%\?*}: $why; again in $pause s"
		sleep "$pause"
	done
	chmod 755 "$tmp"
	why=$("$tmp" version 2>&1) || fail "${url%%\?*} does not run here: $why"
	bin=${tmp%/*}/dsagent
	mv -f "$tmp" "$bin" || fail "cannot put dsagent to $bin"
}

bin=$(command -v dsagent)
"${bin:-false}" version >/dev/null 2>&1 || fetch
# The recipe: YAML as it is, or gzip in base64.
"$bin" boot - <<'RECIPE'
include: [quickstart]
RECIPE
