# The server with all that it imports. Settings come from the environment (.env.example).

FROM denoland/deno:2.9.6 AS build
WORKDIR /app
COPY deno.json deno.lock main.ts ./
COPY actors ./actors
COPY db ./db
COPY lib ./lib
COPY routes ./routes
# The imports of the server and of its Workers, as deno.lock has them.
RUN ["deno", "cache", "--frozen", "main.ts", "db/embedded_worker.ts", "lib/passwords_worker.ts", "lib/watchdog_worker.ts"]

FROM denoland/deno:2.9.6
RUN mkdir /data && chown deno:deno /data
COPY --from=build /deno-dir /deno-dir
COPY --from=build /app /app
WORKDIR /app
ENV HOST=0.0.0.0 \
    PORT=8000 \
    DATA_DIR=/data
EXPOSE 8000
USER deno
# Deno is process 1: the signal to stop reaches it, and release commands run as they are written.
ENTRYPOINT []
# The network is open because the addresses of the database and the providers are settings. What is
# not listed of the environment reads as unset: some packages look at all of it.
CMD ["deno", "run", "--no-prompt", "--frozen", "--cached-only", "--no-remote", \
    "--allow-net", "--deny-net=169.254.0.0/16", \
    "--allow-env=HOST,PORT,PUBLIC_URL,OPERATOR_HOST,OPERATOR_PORT,OPERATOR_TOKEN,DATABASE_URL,DATA_DIR,TWILIO_API_URL,TWILIO_ACCOUNT_SID,TWILIO_AUTH_TOKEN,LIVEKIT_URL,LIVEKIT_API_KEY,LIVEKIT_API_SECRET,LIVEKIT_SIP_HOST,LIVEKIT_SIP_USERNAME,LIVEKIT_SIP_PASSWORD,ROOMS_URL,ROOMS_TOKEN,ROOMS_HOST,ROOMS_PORT,STT_PROVIDER,STT_FALLBACK,HOUSE_FALLBACK,DEEPGRAM_URL,DEEPGRAM_API_KEY,DEEPGRAM_MODEL,DEEPGRAM_VOICE,LLM_PROVIDER,LLM_FALLBACK,OPENAI_BASE_URL,OPENAI_API_KEY,OPENAI_MODEL,OPENAI_SPEECH_MODEL,OPENAI_VOICE,OPENAI_REALTIME_MODEL,OPENAI_REALTIME_VOICE,OPENAI_TRANSCRIPTION_MODEL,ANTHROPIC_URL,ANTHROPIC_API_KEY,ANTHROPIC_MODEL,TTS_PROVIDER,TTS_FALLBACK,ELEVENLABS_URL,ELEVENLABS_API_KEY,ELEVENLABS_MODEL,ELEVENLABS_VOICE,ALLOWED_ORIGINS,ALLOWED_HOSTS,KEY_ENCRYPTION_KEYS,TOKEN_PEPPER,SIGNUP,MAIL_FROM,SMTP_URL,S3_ENDPOINT,S3_REGION,S3_BUCKET,S3_ACCESS_KEY_ID,S3_SECRET_ACCESS_KEY,UPSTASH_REDIS_REST_URL,UPSTASH_REDIS_REST_TOKEN,OUTBOUND_ALLOW,MACHINES,CLIENT_IP_HEADER,MAX_CALLS,INBOUND_PERCENT,SHED_LAG_MS,MEMORY_MAX_MB,STUCK_MS,LOG_LEVEL,LOG_PII,FLY_MACHINE_ID,FLY_REGION,FLY_PRIVATE_IP", \
    "--ignore-env", \
    "--allow-read=/app,/deno-dir/npm/registry.npmjs.org/@electric-sql,/data", \
    "--allow-write=/data", \
    "main.ts", "start"]
