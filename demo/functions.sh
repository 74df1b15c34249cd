# What demo/menu.txt uses, for bash and zsh; `make play` puts the variables before it. API and KEY are what an operator has,
# AZURE steers the simulated Azure (simulator/README.md).

status() { curl -sS -H "$KEY" "$API/mirrors/PROD?format=text"; }

move() {
  curl -sS -H "$KEY" "$API/mirrors/PROD/moves" -d "{\"to\": \"$1\", \"reason\": \"play\", \"operator\": \"you\"}"
}

# agent MEMBER COMMAND...: the agent as it runs on that member.
agent() { play_config="$PLAY/$1.ini"; shift; "$PYTHON" "$ROOT/agent/vip_agent.py" --config "$play_config" "$@"; }

trail() { (cd "$ROOT" && "$PYTHON" -m trail PROD --connection-string "$TABLE" "$@"); }

# Where the simulated network delivers the VIP's packets.
carrier() { curl -sS "$AZURE/carrier/10.0.0.254"; echo; }

# primary MEMBER: IRIS makes it primary and the other one backup; their status pages say so from now on.
primary() {
  for play_member in MIRRORA MIRRORB; do
    if [ "$play_member" = "$1" ]; then play_mode=primary; else play_mode=backup; fi
    curl -sS -o /dev/null -X PUT "$AZURE/pages/$play_member" -d "{\"mode\": \"$play_mode\"}"
  done
}

# until_says WORDS COMMAND...: wait, a minute at most, until the command's answer has these words.
until_says() {
  play_words=$1
  shift
  for play_try in $(seq 300); do
    if "$@" 2>/dev/null | grep -q -e "$play_words"; then return 0; fi
    sleep 0.2
  done
  echo "$play_try times, and still not: $play_words"
  return 1
}
